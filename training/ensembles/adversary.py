"""The adversary of A-BIER: it looks for what two heads have in common, and the heads learn to have less of it.

Source: Opitz et al., "Deep Metric Learning with BIER: Boosting Independent Embeddings Robustly", PAMI 2018, and the
authors' code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _ReversedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.factor * gradients[0], None


def reversed_gradient(x: Tensor, factor: float) -> Tensor:
    """The same values, but their gradient is multiplied by -factor on its way back (Ganin & Lempitsky 2015)."""
    result: Tensor = _ReversedGradient.apply(x, factor)
    return result


class Regressor(nn.Module):
    """How well one head's feature tells another's: d times the mean over images of |target * g(source)|^2.

    g is a linear layer, ReLU and a linear layer, scaled to length 1 for each image as the target is. The authors hold
    g's weights near length 1 by penalties instead; but that does not bound the score, which then runs away from the
    loss it is weighed against. Here it lies between 0 and d, and is near 1 for features that have nothing in common.
    """

    def __init__(self, source_size: int, hidden: int, target_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(source_size, hidden), nn.ReLU(), nn.Linear(hidden, target_size))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """source: float[n, source_size], target: float[n, d], both of length 1. Returns a scalar."""
        # A unit vector's numbers shrink with its size; the first layer expects them near 1.
        found = F.normalize(self.layers(source * math.sqrt(source.shape[1])), dim=1)
        score: Tensor = (target * found).square().sum(1).mean() * target.shape[1]
        return score
