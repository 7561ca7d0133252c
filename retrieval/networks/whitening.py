"""Whitening: a linear map behind the embedding that is fitted, not trained.

What tells images of one class from each other (pose, light, background) fills some directions of an embedding far more
than others, and a cosine is dominated by those. Whitening scales each direction by how much a class spreads in it, so
that all weigh the same, and what is left can be cut to its main directions. Classes that were not seen in training gain
as well, since their images differ in the same ways.

Sources: Mikolajczyk & Matas, "Improving Descriptors for Fast Tree Matching by Optimal Linear Projection" (ICCV 2007),
whose form for retrieval is Radenovic, Tolias & Chum (ECCV 2016), "learned whitening": the inverse square root of the
covariance within classes, then the principal axes of what it leaves. The shrinkage, without which directions that
hardly vary would be blown up, is this project's: half of the covariance is the identity times its mean eigenvalue.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from retrieval.errors import UserError

_BLOCK = 8192


class Whitening(nn.Module):
    """Embeddings less their mean, times a matrix, L2-normalised. Its two tensors are buffers: no optimiser sees them.

    mean: float32[joined]. matrix: float32[size, joined]. Made as the first `size` numbers of what comes in; `fit` says
    what they should be.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, joined: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(joined))
        self.register_buffer("matrix", torch.eye(size, joined))

    @property
    def size(self) -> int:
        """Length of what comes out."""
        return len(self.matrix)

    def forward(self, embeddings: Tensor) -> Tensor:
        """float32[n, joined] to unit vectors float32[n, size]."""
        return F.normalize((embeddings - self.mean) @ self.matrix.T, dim=1)

    def fit(self, embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Set mean and matrix from unit vectors float32[n, joined] and their classes int64[n], as `whitening_of`."""
        mean, matrix = whitening_of(embeddings, labels, self.size)
        self.mean.copy_(torch.from_numpy(mean))
        self.matrix.copy_(torch.from_numpy(matrix))


def whitening_of(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean float32[d] and matrix float32[size, d] for embeddings float32[n, d] of classes int64[n].

    With S the covariance within classes and m its mean eigenvalue: (S + m I)^(-1/2), then the first `size` principal
    axes of what that makes of the embeddings. All of the axes leave cosines as they are. Raises UserError if no two
    images are of one class, or if those of each class are alike.
    """
    _, numbers = np.unique(labels, return_inverse=True)
    counts = np.bincount(numbers)
    n, d = embeddings.shape
    sums = np.zeros((len(counts), d))
    for rows in _blocks(n):
        np.add.at(sums, numbers[rows], embeddings[rows])
    mean, centres = sums.sum(0) / n, sums / counts[:, None]
    within, total = np.zeros((d, d)), np.zeros((d, d))
    for rows in _blocks(n):
        vectors = embeddings[rows].astype(np.float64)
        apart = vectors - centres[numbers[rows]]
        within += apart.T @ apart
        total += (vectors - mean).T @ (vectors - mean)
    freedom = n - len(counts)
    covariance = within / max(freedom, 1)
    level = np.trace(covariance) / d
    if freedom < 1 or level <= np.finfo(np.float32).eps ** 2:
        raise UserError(
            "whitening needs classes of two or more different images, to see how images of a class differ; "
            f"got {n} images of {len(counts)} classes"
        )
    eigenvalues, axes = np.linalg.eigh(covariance)
    root = (axes / np.sqrt(np.maximum(eigenvalues, 0) + level)) @ axes.T
    principal = np.linalg.eigh(root @ total @ root)[1][:, : -size - 1 : -1]
    return mean.astype(np.float32), (principal.T @ root).astype(np.float32)


def _blocks(n: int) -> Iterator[slice]:
    """Rows 0..n-1, so few at a time that their float64 take little memory."""
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))
