"""The papers' formulas for pairs, written with loops over numpy arrays."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def made_up(
    sizes: tuple[int, ...] = (4, 6, 5), labels: tuple[int, ...] = (0, 0, 1, 2, 1, 0, 2), seed: int = 0
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Features in double precision that need a gradient, and labels."""
    generator = torch.Generator().manual_seed(seed)
    features = tuple(
        torch.randn(len(labels), size, generator=generator, dtype=torch.float64).requires_grad_()
        for size in sizes
    )
    return features, torch.tensor(labels)


def unit(feature: Tensor) -> Array:
    """Rows of length 1."""
    rows: Array = feature.detach().numpy()
    lengths: Array = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / lengths)


def pairs(labels: Tensor) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The pairs of one class, and those of two."""
    every = list(combinations(range(len(labels)), 2))
    alike = [(i, j) for i, j in every if labels[i] == labels[j]]
    return alike, [pair for pair in every if pair not in alike]


def squared(rows: Array, i: int, j: int) -> float:
    """The squared distance of two rows."""
    return float(((rows[i] - rows[j]) ** 2).sum())


def gradients(loss: Tensor, features: tuple[Tensor, ...]) -> list[Tensor]:
    """Of a loss by each head's feature."""
    return list(torch.autograd.grad(loss, features))
