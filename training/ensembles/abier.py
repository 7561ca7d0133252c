"""BIER and A-BIER: heads as the learners of a booster, kept apart by an adversary.

Sources: Opitz et al., "BIER: Boosting Independent Embeddings Robustly", ICCV 2017; "Deep Metric Learning with BIER",
PAMI 2018 (the adversary); and the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from training.ensembles.adversary import Regressor, reversed_gradient
from training.ensembles.joint_objective import JointObjective
from training.ensembles.pairs import pairs_of


class Boosted(JointObjective):
    """Binomial deviance of each head, weighted by what the heads before still get wrong, and the adversary.

    With the cosine s of a pair, y = 1 and C = 1 for one class, y = -1 and C = `negative_cost` for two:
    z = y scale (s - threshold) C, and a head's loss is log(1 + exp(-z)), averaged over the pairs of either kind, the
    two averages added, and averaged over heads. Pairs are weighted by the negative gradient of log(1 + exp(-S)) by
    the running score S, which is 1 / (1 + exp(S)). S starts at 0 with all weights 1 and after head m = 1, 2, ... is
    (1 - eta) S + eta z with eta = 2 / (m + 1). No gradient flows through the weights.

    The adversary is a regressor for each two heads, which maps the later one's feature to a vector that correlates
    with the earlier one's (see `Regressor`); its gradient reaches the heads reversed and times `adversary`. It adds
    nothing to the loss that is shown: regressors and heads play against each other.
    """

    def __init__(
        self,
        feature_sizes: Sequence[int],
        *,
        scale: float,
        threshold: float,
        negative_cost: float,
        adversary: float,
        hidden: int,
    ) -> None:
        super().__init__()
        self.scale, self.threshold, self.negative_cost = scale, threshold, negative_cost
        self.adversary = adversary
        self.duels = list(combinations(range(len(feature_sizes)), 2)) if adversary > 0 else []
        self.regressors = nn.ModuleList(
            Regressor(feature_sizes[later], hidden, feature_sizes[earlier]) for earlier, later in self.duels
        )

    def compute(self, units: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """As every joint objective."""
        loss = self._deviance(units, labels)
        if self.duels:
            score = torch.stack(
                [
                    regressor(
                        reversed_gradient(units[later], self.adversary),
                        reversed_gradient(units[earlier], self.adversary),
                    )
                    for regressor, (earlier, later) in zip(self.regressors, self.duels, strict=True)
                ]
            ).sum()
            loss = loss - (score - score.detach())
        return loss

    def _deviance(self, units: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        alike, different = pairs_of(labels)
        rows, columns = torch.cat([alike[0], different[0]]), torch.cat([alike[1], different[1]])
        counts = (len(alike[0]), len(different[0]))
        sign = units[0].new_tensor([1.0] * counts[0] + [-self.negative_cost] * counts[1])
        share = units[0].new_tensor([1 / max(1, count) for count in counts for _ in range(count)])
        boost = torch.ones_like(sign)
        running = torch.zeros_like(sign)
        losses = []
        for number, unit in enumerate(units, start=1):
            cosines = (unit @ unit.T)[rows, columns]
            z = self.scale * (cosines - self.threshold) * sign
            losses.append((F.softplus(-z) * boost * share).sum())
            eta = 2 / (number + 1)
            running = (1 - eta) * running + eta * z.detach()
            boost = torch.sigmoid(-running)
        return torch.stack(losses).mean()

    def head_parameters(self, head: int) -> list[Parameter]:
        """The regressors that read this head's feature."""
        return [
            parameter
            for regressor, (_, later) in zip(self.regressors, self.duels, strict=True)
            if later == head
            for parameter in regressor.parameters()
        ]
