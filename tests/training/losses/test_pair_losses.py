"""Each pair loss and its gradients against its paper's formula in loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.training.losses import naive
from training.losses import LOSSES, build_loss
from training.losses.distance_weighted import distance_weighted_triplets

CLASSES, D = 4, 6
LABELS = [0, 1, 0, 2, 1, 2, 2, 3]
PAIR_LOSSES = [name for name, row in LOSSES.items() if row.kind == "pair"]


def features(seed: int = 1) -> Tensor:
    """Classes that overlap, and lengths that must not matter."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, D, generator=generator, dtype=torch.float64)
    x = centres[LABELS] + torch.randn(len(LABELS), D, generator=generator, dtype=torch.float64)
    lengths = torch.rand(len(LABELS), 1, generator=generator, dtype=torch.float64) + 0.5
    return (x * lengths).requires_grad_()


FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "multi_similarity": lambda x: naive.multi_similarity(x, LABELS, 2, 40, 0.5, 0.1),
    "triplet": lambda x: naive.triplet(x, LABELS, 0.2),
    "contrastive": lambda x: naive.contrastive(x, LABELS, 0, 1),
    "supcon": lambda x: naive.supcon(x, LABELS, 0.1),
}


@pytest.mark.parametrize("seed", [1, 2, 5])
@pytest.mark.parametrize("name", FORMULAS)
def test_loss_and_gradient_are_those_of_the_paper(name: str, seed: int) -> None:
    x = features(seed)
    value, logits = build_loss(name, D, CLASSES, {})(x, torch.tensor(LABELS))
    expected = FORMULAS[name](x)
    assert logits is None
    assert expected.item() > 0.01
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    for a, b in zip(torch.autograd.grad(value, x), torch.autograd.grad(expected, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("learn_beta", [True, False])
def test_margin_loss_of_the_mined_triplets_is_that_of_the_paper(learn_beta: bool) -> None:
    x, labels = features(), torch.tensor(LABELS)
    loss = build_loss("margin", D, CLASSES, {"learn_beta": learn_beta, "nu": 0.3}).double()
    betas = torch.full((CLASSES,), 1.2, dtype=torch.float64)
    if learn_beta:
        betas = torch.tensor([0.9, 1.2, 1.3, 1.1], dtype=torch.float64)
        (own,) = loss.parameters()
        own.data = betas.clone()
    torch.manual_seed(5)
    value, _ = loss(x, labels)
    torch.manual_seed(5)
    mined = distance_weighted_triplets(x.detach(), labels, cutoff=0.5, farthest=1.4)
    triplets = [(int(a), int(p), int(n)) for a, p, n in zip(*mined, strict=True)]
    expected = naive.margin(x, LABELS, triplets, 0.2, betas, 0.3 if learn_beta else 0.0)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    (got,), (wanted,) = torch.autograd.grad(value, x), torch.autograd.grad(expected, x)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-8)


def test_beta_starts_at_the_authors_value_and_learns() -> None:
    loss = build_loss("margin", D, CLASSES, {})
    (beta,) = loss.parameters()
    assert beta.tolist() == pytest.approx([1.2] * CLASSES)
    loss(features().float(), torch.tensor(LABELS))[0].backward()
    assert beta.grad is not None
    assert beta.grad.abs().sum() > 0
    assert not list(build_loss("margin", D, CLASSES, {"learn_beta": False}).parameters())


@pytest.mark.parametrize("name", PAIR_LOSSES)
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [2, 2, 2, 2]], ids=["no positives", "no negatives"])
def test_a_batch_without_pairs_gives_a_finite_loss_with_a_gradient(name: str, labels: list[int]) -> None:
    x = torch.randn(4, D, requires_grad=True)
    loss = build_loss(name, D, CLASSES, {})
    value, _ = loss(x, torch.tensor(labels))
    value.backward()
    if name != "contrastive":  # the only one for which positives or negatives alone count
        assert value.item() == 0
    for tensor in (x, *loss.parameters()):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_the_same_image_twice_and_a_dead_feature_keep_gradients_finite(name: str) -> None:
    x = torch.randn(8, D)
    x[4] = x[1]
    x[0] = 0
    x.requires_grad_()
    value, _ = build_loss(name, D, CLASSES, {})(x, torch.tensor(LABELS))
    value.backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_half_precision_features_are_computed_in_single_precision(name: str) -> None:
    half = features().detach().bfloat16()
    loss = build_loss(name, D, CLASSES, {})
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, _ = loss(half, torch.tensor(LABELS))
    torch.manual_seed(0)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(half.float(), torch.tensor(LABELS))[0])
