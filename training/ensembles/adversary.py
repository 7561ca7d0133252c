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
    """How well one head's feature tells another's: mean over images and dimensions of (target * g(source))^2.

    g is a linear layer, ReLU, and a linear layer. Its rows have length 1 and its biases at most length 1 by
    construction, where the authors add penalties for that; else the score would grow without bound. Both features are
    scaled to a mean square of 1 over their dimensions, for the same reason.
    """

    def __init__(self, source_size: int, hidden: int, target_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(source_size, hidden)
        self.output = nn.Linear(hidden, target_size)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """source: float[n, source_size], target: float[n, target_size], both of length 1. Returns a scalar."""
        found = _bounded(self.output, F.relu(_bounded(self.hidden, source * math.sqrt(source.shape[1]))))
        return (target * math.sqrt(target.shape[1]) * found).square().mean()


def _bounded(layer: nn.Linear, x: Tensor) -> Tensor:
    bias = layer.bias / layer.bias.norm().clamp(min=1)
    return F.linear(x, F.normalize(layer.weight, dim=1), bias)
