"""The attack against closed forms and against one image at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.training.distillation.methods.signal_steps import tiny_classifier
from training.distillation.methods.outputs.boundary_attack import boundary_attack


def two_sided(images: Tensor) -> Tensor:
    """Logits x and -x of images of one value x."""
    x = images.flatten(1)
    return torch.cat([x, -x], dim=1)


def attack(images: Tensor, bound: float = 2.5) -> Tensor:
    zeros = torch.zeros(len(images), dtype=torch.int64)
    return boundary_attack(two_sided, images, zeros, zeros + 1, steps=10, rate=0.3, bound=bound)[0]


def test_a_line_by_hand() -> None:
    """The gap is 2x and the unit gradient -1, so a step is x <- x - 0.3 (2x + 0.0001) = 0.4x - 0.00003.

    With fixed point -0.00005 that is x_n = 0.4^n (x_0 + 0.00005) - 0.00005: from 1 it is still positive after ten
    steps, from 0.1 negative after nine, from -0.1 not wanted.
    """
    x = torch.tensor([1.0, 0.1, -0.1], dtype=torch.float64)
    after = attack(x[:, None, None, None]).flatten()
    assert after[0].item() == pytest.approx(0.4**10 * 1.00005 - 0.00005, rel=1e-9)
    assert after[0] > 0
    assert after[1].item() == pytest.approx(0.4**9 * 0.10005 - 0.00005, rel=1e-9)
    assert after[1] < 0
    assert after[2] == -0.1


def test_values_stay_within_the_bound() -> None:
    assert attack(torch.full((1, 1, 1, 1), 5.0), bound=0.5).item() <= 0.5


def test_an_image_without_slope_stays() -> None:
    flat, _ = boundary_attack(
        lambda x: 0 * x.flatten(1)[:, :2] + torch.tensor([1.0, 0.0]),
        torch.ones(1, 1, 1, 2),
        torch.tensor([0]),
        torch.tensor([1]),
        steps=3,
        rate=0.3,
        bound=2.5,
    )
    assert torch.equal(flat, torch.ones(1, 1, 1, 2))


def one_by_one(
    network: nn.Module, image: Tensor, base: int, target: int, steps: int
) -> tuple[Tensor, Tensor | None, int]:
    """Where an image ends, where it was a step before, and after how many steps."""
    before = None
    for taken in range(steps):
        image = image.detach().requires_grad_()
        scores = network(image[None])[0]
        if int(scores.argmax()) != base:
            return image.detach(), before, taken
        (scores[target] - scores[base]).backward()
        assert image.grad is not None
        gap = float((scores[base] - scores[target]).detach()) + 0.0001
        before = image.detach()
        image = (before + 0.3 * gap * image.grad / image.grad.pow(2).sum().sqrt()).clamp(-2.5, 2.5)
    return image.detach(), before, steps


def test_every_image_ends_just_past_a_change_of_mind_or_after_ten_steps() -> None:
    """And where a loop over single images ends."""
    network = tiny_classifier(3, scale=3.0).double().eval()
    images = 1.3 * torch.randn(24, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = network(images).detach()
    base = scores.argmax(1)
    target = scores.topk(3).indices[torch.arange(24), torch.arange(24) % 2 + 1]
    attacked, said = boundary_attack(network, images, base, target, steps=10, rate=0.3, bound=2.5)
    torch.testing.assert_close(said, network(attacked))
    ends = said.argmax(1)
    taken = []
    for number in range(len(images)):
        stands = images[number], int(base[number]), int(target[number])
        place, before, steps = one_by_one(network, *stands, steps=10)
        torch.testing.assert_close(attacked[number], place, rtol=1e-9, atol=1e-9)
        taken.append(steps)
        if ends[number] == base[number]:
            assert steps == 10
        else:
            assert before is not None
            assert network(before[None]).argmax() == base[number]
    assert {steps for steps in taken if steps < 10}, "no image changed the network's mind"
    assert len(set(taken)) > 2, "all images took the same way"


def test_nothing_of_the_network_learns() -> None:
    network = tiny_classifier(1).eval()
    images = torch.randn(4, 3, 6, 6)
    base = network(images).argmax(1)
    attacked, said = boundary_attack(network, images, base, (base + 1) % 4, steps=2, rate=0.3, bound=2.5)
    assert not attacked.requires_grad
    assert not said.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


def test_no_image_is_shown_oftener_than_it_takes() -> None:
    """The values of `test_a_line_by_hand`: ten steps and a last look, nine and a look that finds it over, none."""
    shown: list[int] = []

    def watched(images: Tensor) -> Tensor:
        shown.append(len(images))
        return two_sided(images)

    x = torch.tensor([1.0, 0.1, -0.1], dtype=torch.float64)[:, None, None, None]
    zeros = torch.zeros(3, dtype=torch.int64)
    boundary_attack(watched, x, zeros, zeros + 1, steps=10, rate=0.3, bound=2.5)
    assert shown == [3, *[2] * 9, 1]
    shown.clear()
    boundary_attack(watched, x[2:], zeros[2:], zeros[2:] + 1, steps=10, rate=0.3, bound=2.5)
    assert shown == [1]
