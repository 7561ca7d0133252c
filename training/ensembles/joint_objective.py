"""What the joined objectives have in common: unit features of all heads in, one number out."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from training.objective import Objective, ObjectiveResult


class JointObjective(Objective):
    """An objective whose heads depend on each other. It sees directions only, and knows no class logits."""

    def forward(self, features: tuple[Tensor, ...], labels: Tensor) -> ObjectiveResult:
        """As every objective. Computed in float32 (float64, if the features are), also under autocast."""
        with torch.autocast(labels.device.type, enabled=False):
            units = tuple(
                F.normalize(feature.to(torch.promote_types(feature.dtype, torch.float32)), dim=1)
                for feature in features
            )
            return ObjectiveResult(self.compute(units, labels), (None,) * len(features))

    @abstractmethod
    def compute(self, units: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """units: float[n, d_h] of each head, of length 1; labels: int64[n]. Returns the loss, a scalar."""
