from itertools import combinations

import pytest
import torch

from tests.training.ensembles import naive
from training.ensembles.abe import Divergent


def test_the_loss_is_the_papers() -> None:
    features, labels = naive.made_up(sizes=(4, 4, 4))
    alike, different = naive.pairs(labels)
    rows = [naive.unit(feature) for feature in features]
    total = 0.0
    for head in rows:
        pull = sum(naive.squared(head, *pair) for pair in alike) / len(alike)
        push = sum(max(0.0, 1.5 - naive.squared(head, *pair)) for pair in different) / len(different)
        total += (pull + push) / 2
    for p, q in combinations(rows, 2):
        for one, other in zip(p, q, strict=True):
            total += 0.3 * max(0.0, 2.5 - float(((one - other) ** 2).sum())) / len(labels)
    objective = Divergent(margin=1.5, divergence=0.3, divergence_margin=2.5)
    assert objective(features, labels).loss.item() == pytest.approx(total)


def test_equal_heads_are_pushed_apart_until_the_margin() -> None:
    objective = Divergent(margin=1e-9, divergence=1.0, divergence_margin=1.0)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, 3, generator=generator)
    heads = [(start + 1e-2 * torch.randn(5, 3, generator=generator)).requires_grad_() for _ in range(2)]
    optimiser = torch.optim.SGD(heads, lr=0.5)
    labels = torch.arange(5)
    for _ in range(200):
        optimiser.zero_grad()
        torch.autograd.backward(objective(tuple(heads), labels).loss)
        optimiser.step()
    one, other = (torch.nn.functional.normalize(head.detach(), dim=1) for head in heads)
    distances = (one - other).square().sum(1)
    assert (distances > 0.95).all()
    assert (distances < 1.5).all()


def test_heads_of_different_sizes_are_not_compared() -> None:
    features, labels = naive.made_up(sizes=(4, 6))
    losses = [
        Divergent(margin=1.0, divergence=weight, divergence_margin=4.0)(features, labels).loss
        for weight in (0.0, 1.0)
    ]
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("labels", [(0, 1, 2), (0, 0, 0), (0,)])
def test_batches_without_pairs_of_a_kind_have_finite_gradients(labels: tuple[int, ...]) -> None:
    features, targets = naive.made_up(sizes=(4, 4), labels=labels)
    loss = Divergent(margin=1.0, divergence=1.0, divergence_margin=1.0)(features, targets).loss
    assert all(bool(torch.isfinite(gradient).all()) for gradient in naive.gradients(loss, features))
