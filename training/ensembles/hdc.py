"""HDC: a cascade of heads, each of which learns from the pairs that the one before found hard.

Source: Yuan et al., "Hard-Aware Deeply Cascaded Embedding", ICCV 2017, and the authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from training.ensembles.joint_objective import JointObjective
from training.ensembles.pairs import Pairs, pairs_of, squared_distances


class Cascade(JointObjective):
    """The sum over heads of a contrastive loss on ever fewer and harder pairs (HDC).

    A pair of one class costs its squared distance D, one of two classes max(0, margin - D). The first head sees all
    pairs. Each further head k sees, of the pairs that the head before saw, the share `shares[k]` that cost that
    head most, taken apart for pairs of one class and of two, at least one of each. A head's loss is the mean over
    its pairs that cost anything.

    The paper sums where this takes means, which keeps the heads' weights alike whatever the shares; so does the
    authors' code. That code cuts by each head's own loss and keeps all pairs of one class, unlike the paper, and
    scales gradients by the rank precision of triplets; neither is done here.
    """

    def __init__(self, shares: Sequence[float], *, margin: float) -> None:
        super().__init__()
        self.shares = tuple(shares)
        self.margin = margin

    def compute(self, units: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """As every joint objective; len(units) == len(shares)."""
        losses = []
        alike, different = pairs_of(labels)
        following = (*self.shares[1:], 1.0)
        for unit, share in zip(units, following, strict=True):
            distances = squared_distances(unit)
            pull = distances[alike]
            push = F.relu(self.margin - distances[different])
            costs = torch.cat([pull, push])
            losses.append(costs.sum() / (costs > 0).sum().clamp(min=1))
            alike, different = hardest(alike, pull, share), hardest(different, push, share)
        return torch.stack(losses).sum()


def hardest(pairs: Pairs, costs: Tensor, share: float) -> Pairs:
    """The share of the pairs, rounded up, whose costs float[p] are the highest; of equal ones the first."""
    kept = costs.detach().sort(descending=True, stable=True).indices[: math.ceil(share * len(costs))]
    rows, columns = pairs
    return rows[kept], columns[kept]
