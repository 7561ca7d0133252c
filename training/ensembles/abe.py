"""ABE: heads that look at different parts of a map, because their features of one image are pushed apart.

Source: Kim et al., "Attention-based Ensemble for Deep Metric Learning", ECCV 2018.
"""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from training.ensembles.joint_objective import JointObjective
from training.ensembles.pairs import mean, pairs_of, squared_distances


class Divergent(JointObjective):
    """The sum over heads of a contrastive loss, and `divergence` times the divergence loss (ABE).

    A pair of one class costs its squared distance D, one of two classes max(0, margin - D); a head's loss is the mean
    of the two kinds' means, because the authors' batches hold as many pairs of either kind. The divergence loss is the
    sum over each two heads of the same size of max(0, divergence_margin - D), D being the squared distance between
    their features of one image, averaged over images. It means something only where the heads' features lie in one
    space, as with a shared linear layer: independent layers put them at right angles by themselves.
    """

    def __init__(self, *, margin: float, divergence: float, divergence_margin: float) -> None:
        super().__init__()
        self.margin = margin
        self.divergence = divergence
        self.divergence_margin = divergence_margin

    def compute(self, units: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """As every joint objective."""
        alike, different = pairs_of(labels)
        terms = []
        for unit in units:
            distances = squared_distances(unit)
            push = F.relu(self.margin - distances[different])
            terms.append((mean(distances[alike]) + mean(push)) / 2)
        for one, other in combinations(units, 2):
            if one.shape == other.shape:
                apart = (one - other).square().sum(1)
                terms.append(self.divergence * mean(F.relu(self.divergence_margin - apart)))
        return torch.stack(terms).sum()
