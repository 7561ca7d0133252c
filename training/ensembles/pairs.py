"""The pairs of a batch, each counted once, and means over them."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

Pairs: TypeAlias = tuple[Tensor, Tensor]
"""int64[p] twice: the rows and the columns of p pairs, row < column."""


def pairs_of(labels: Tensor) -> tuple[Pairs, Pairs]:
    """labels: int64[n]. The pairs of one class, and those of two."""
    rows, columns = torch.triu_indices(len(labels), len(labels), offset=1, device=labels.device).unbind()
    same = labels[rows] == labels[columns]
    return (rows[same], columns[same]), (rows[~same], columns[~same])


def squared_distances(units: Tensor) -> Tensor:
    """Between unit vectors: float[n, d] to float[n, n] in 0..4."""
    return (2 - 2 * units @ units.T).clamp(min=0)


def mean(values: Tensor) -> Tensor:
    """float[p] to their mean; 0, with a gradient of 0, if there are none."""
    return values.sum() / max(1, values.numel())
