from math import exp, log1p

import pytest
import torch

from tests.training.ensembles import naive
from training.ensembles.abier import Boosted


def boosted(sizes: tuple[int, ...], adversary: float = 0.0) -> Boosted:
    torch.manual_seed(0)
    return Boosted(
        sizes, scale=2.0, threshold=0.5, negative_cost=25.0, adversary=adversary, hidden=7
    ).double()


def test_the_loss_is_the_papers() -> None:
    features, labels = naive.made_up()
    kinds = naive.pairs(labels)
    total = 0.0
    for kind, y, cost in ((kinds[0], 1, 1.0), (kinds[1], -1, 25.0)):
        for i, j in kind:
            score, weight = 0.0, 1.0
            for m, feature in enumerate(features, start=1):
                rows = naive.unit(feature)
                z = y * 2.0 * (float(rows[i] @ rows[j]) - 0.5) * cost
                total += weight * log1p(exp(-z)) / len(kind) / len(features)
                eta = 2 / (m + 1)
                score = (1 - eta) * score + eta * z
                # Minus the derivative of log(1 + exp(-score)).
                weight = exp(-score) / (1 + exp(-score))
    assert boosted((4, 6, 5))(features, labels).loss.item() == pytest.approx(total)


def test_weights_are_negative_gradients_of_the_deviance() -> None:
    score = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.nn.functional.softplus(-score).sum(), score)
    torch.testing.assert_close(-gradient, torch.sigmoid(-score.detach()))


def test_what_one_head_gets_right_the_next_need_not_learn() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    right = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]], dtype=torch.float64)
    wrong = torch.tensor([[1.0, 0], [-1, 0], [1, 0], [-1, 0]], dtype=torch.float64)
    second = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = []
    for first in (right, wrong):
        learner = second.clone().requires_grad_()
        loss = boosted((2, 2))((first, learner), labels).loss
        lengths.append(float(naive.gradients(loss, (learner,))[0].norm()))
    assert lengths[0] < 0.6 * lengths[1]


def test_the_adversary_shows_in_gradients_only() -> None:
    features, labels = naive.made_up()
    plain, fought = boosted((4, 6, 5)), boosted((4, 6, 5), adversary=0.5)
    losses = [objective(features, labels).loss for objective in (plain, fought)]
    torch.testing.assert_close(*losses)
    before, after = (naive.gradients(loss, features) for loss in losses)
    assert all(not torch.allclose(one, other) for one, other in zip(before, after, strict=True))


def test_each_two_heads_have_a_regressor_and_it_learns_with_the_later_one() -> None:
    fought = boosted((4, 6, 5), adversary=0.5)
    shapes = [[tuple(p.shape) for p in fought.head_parameters(head)] for head in range(3)]
    assert shapes[0] == []
    assert shapes[1] == [(7, 6), (7,), (4, 7), (4,)]
    assert shapes[2] == [(7, 5), (7,), (4, 7), (4,), (7, 5), (7,), (6, 7), (6,)]
    assert fought.shared_parameters(3) == []
    features, labels = naive.made_up()
    torch.autograd.backward(fought(features, labels).loss)
    assert all(p.grad is not None and bool(p.grad.any()) for p in fought.parameters())


@pytest.mark.parametrize("labels", [(0, 1, 2), (0, 0, 0), (0,)])
def test_batches_without_pairs_of_a_kind_have_finite_gradients(labels: tuple[int, ...]) -> None:
    features, targets = naive.made_up(labels=labels)
    loss = boosted((4, 6, 5), adversary=0.1)(features, targets).loss
    assert all(bool(torch.isfinite(gradient).all()) for gradient in naive.gradients(loss, features))
