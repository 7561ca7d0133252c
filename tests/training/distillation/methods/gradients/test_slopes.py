"""Directions of gradients against finite differences, and their second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.training.distillation.methods.signal_steps import tiny_classifier
from training.distillation.methods.gradients.slopes import gradient_directions, squared_distance


def test_directions_are_those_of_finite_differences() -> None:
    """Of two numbers an image: the logit of its own class, and the square of the first."""
    network = tiny_classifier(0).double().eval()
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    labels = torch.tensor([3, 1])

    def numbers(seen: Tensor) -> list[Tensor]:
        logits = network(seen)
        return [logits.gather(1, labels[:, None]).squeeze(1), logits[:, 0].square()]

    found = gradient_directions(numbers, images, differentiable=False)
    slopes = torch.zeros(2, 2, 108, dtype=torch.float64)
    for value in range(108):
        nudge = torch.zeros(108, dtype=torch.float64)
        nudge[value] = 1e-6
        nudge = nudge.view(1, 3, 6, 6)
        with torch.no_grad():
            up, down = numbers(images + nudge), numbers(images - nudge)
        slopes[:, :, value] = torch.stack([(a - b) / 2e-6 for a, b in zip(up, down, strict=True)])
    for directions, slope in zip(found, slopes, strict=True):
        torch.testing.assert_close(directions, slope / slope.norm(dim=1, keepdim=True), rtol=1e-5, atol=1e-7)
        assert not directions.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_gradients_to_the_weights(training: bool) -> None:
    """Through batch norms in both modes; sigmoids, because second derivatives of ReLUs have jumps."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Sigmoid(), nn.Flatten(), nn.Linear(8, 2)
    ).double()
    network.train(training)
    images = torch.randn(3, 3, 4, 4, dtype=torch.float64)
    wanted = torch.randn(3, 48, dtype=torch.float64)
    names = [name for name, _ in network.named_parameters()]
    state = {key: value.clone() for key, value in network.state_dict().items()}

    def value(*weights: Tensor) -> Tensor:
        given = {
            **{key: kept.clone() for key, kept in state.items()},
            **dict(zip(names, weights, strict=True)),
        }

        def numbers(seen: Tensor) -> list[Tensor]:
            logits: Tensor = torch.func.functional_call(network, given, seen)
            return [logits[:, 0], logits[:, 1]]

        first, second = gradient_directions(numbers, images, differentiable=True)
        return squared_distance(first, wanted) + squared_distance(second, wanted)

    weights = tuple(p.detach().clone().requires_grad_() for p in network.parameters())
    assert torch.autograd.gradcheck(value, weights, atol=1e-6)


def test_a_number_without_slope_has_no_direction() -> None:
    weight = torch.zeros(3, requires_grad=True)
    (found,) = gradient_directions(
        lambda seen: [seen.flatten(1) @ weight], torch.ones(2, 3, 1, 1), differentiable=True
    )
    (gradient,) = torch.autograd.grad(found.sum(), weight)
    assert found.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert gradient.tolist() == [0, 0, 0]


def test_distances_of_unit_vectors() -> None:
    along = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    across = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    assert squared_distance(along, along) == 0
    assert squared_distance(along, across) == (2 + 4) / 2
