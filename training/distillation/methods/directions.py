"""Unit vectors that survive vectors without a direction."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-12


def directions(vectors: Tensor) -> Tensor:
    """Unit vectors along the last dimension; zeros, and no gradient, where a vector is shorter than 1e-12.

    The usual division by max(length, epsilon) has a slope of 1/epsilon there: two images with the same feature would
    end a run.
    """
    squared = vectors.square().sum(-1, keepdim=True)
    long_enough = squared > TINY**2
    return torch.where(long_enough, vectors * torch.where(long_enough, squared, 1).rsqrt(), 0)
