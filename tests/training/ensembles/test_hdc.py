import math

import pytest
import torch

from tests.training.ensembles import naive
from training.ensembles.hdc import Cascade

SHARES = (1.0, 0.5, 0.2)


def test_the_loss_is_the_papers() -> None:
    features, labels = naive.made_up()
    seen = naive.pairs(labels)
    total = 0.0
    for head, feature in enumerate(features):
        rows = naive.unit(feature)
        costs = [
            {pair: naive.squared(rows, *pair) for pair in seen[0]},
            {pair: max(0.0, 1.2 - naive.squared(rows, *pair)) for pair in seen[1]},
        ]
        paid = [cost for kind in costs for cost in kind.values() if cost > 0]
        total += sum(paid) / len(paid)
        if head + 1 < len(features):
            # Of either kind, the share that this head finds hardest goes on.
            one, two = (
                sorted(kind, key=lambda pair, kind=kind: -kind[pair])[  # type: ignore[misc]  # lambda's default
                    : math.ceil(SHARES[head + 1] * len(kind))
                ]
                for kind in costs
            )
            seen = one, two
    loss = Cascade(SHARES, margin=1.2)(features, labels).loss
    assert loss.item() == pytest.approx(total)


def test_a_head_learns_from_hard_pairs_only() -> None:
    # Two classes of two: of the two pairs of one class, only the wider one reaches the second head.
    angles = torch.tensor([0.0, 0.1, 3.0, 3.9], dtype=torch.float64)
    first, second = (torch.stack([angles.cos(), angles.sin()], dim=1).requires_grad_() for _ in range(2))
    labels = torch.tensor([0, 0, 1, 1])
    loss = Cascade((1.0, 0.5), margin=1e-9)((first, second), labels).loss
    gradients = [gradient.norm(dim=1) > 1e-9 for gradient in naive.gradients(loss, (first, second))]
    assert gradients[0].tolist() == [True] * 4
    assert gradients[1].tolist() == [False, False, True, True]


def test_all_shares_of_one_are_heads_on_their_own() -> None:
    features, labels = naive.made_up()
    together = Cascade((1.0, 1.0, 1.0), margin=1.0)(features, labels).loss
    apart = [Cascade((1.0,), margin=1.0)((feature,), labels).loss for feature in features]
    torch.testing.assert_close(together, torch.stack(apart).sum())


@pytest.mark.parametrize("labels", [(0, 1, 2), (0, 0, 0), (0,)])
def test_batches_without_pairs_of_a_kind_have_finite_gradients(labels: tuple[int, ...]) -> None:
    features, targets = naive.made_up(labels=labels)
    loss = Cascade(SHARES, margin=1.0)(features, targets).loss
    assert all(bool(torch.isfinite(gradient).all()) for gradient in naive.gradients(loss, features))
