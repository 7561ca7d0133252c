"""What an index misses: recall@k against exact search, on a sample of the collection's own vectors, or on queries made
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY, exact_search

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]
Search = Callable[[Vectors, int], tuple[Vectors, Keys]]

SAMPLE = 100
"""Queries; with ten neighbours each, the figure stands on a thousand."""

_FAR = 0.05, 3000
"""Share of the items, and number of them at most, that a query from outside has before its other half."""

NOBODY = NO_KEY - 1
"""The key of a query that is no item."""

_ROUNDING = 2e-6
"""Two ways to sum a product of unit vectors differ by less than this."""


def far_neighbours(vectors: Vectors, batches: Iterable[tuple[Keys, Vectors]], items: int) -> Keys:
    """The key of a far neighbour of each of float32[q, d] in a collection of so many items, which these are not in."""
    neighbours = exact_search(vectors, batches, max(1, min(int(_FAR[0] * items), _FAR[1])))[1]
    there = (neighbours != NO_KEY).sum(axis=1)
    last: Keys = neighbours[np.arange(len(vectors)), np.maximum(there - 1, 0)]
    return last


def halfway(vectors: Vectors, others: Vectors) -> Vectors:
    """Queries as from outside, float32[q, d] of norm 1: between an item that was kept back and a far neighbour of it.

    Items of a catalogue come in groups that are alike, so one that was kept back is found at once among its own. What
    people search with need not be close to any: photos that resembled no item took 96 vertices of a graph, or 16 lists,
    for the recall that items kept back had at 16 and 2; these queries take nearly as many lists, and more vertices.
    """
    sums = vectors.astype(np.float64) + others
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    # Opposite vectors have no middle.
    found: Vectors = np.where(lengths > 1e-3, sums / np.maximum(lengths, 1e-3), vectors).astype(np.float32)
    return found


class TrueNeighbours:
    """The k nearest of a sample, found exactly; a query's own vector is left out, as it is found too easily."""

    def __init__(
        self, keys: Keys, vectors: Vectors, batches: Iterable[tuple[Keys, Vectors]], k: int = 10
    ) -> None:
        """Find them. keys int64[q] and vectors float32[q, d]: the sample; batches: the whole collection."""
        self.k = k
        self._keys, self._vectors = keys, vectors
        scores, neighbours = _without(keys, *exact_search(vectors, batches, k + 1))
        self._wanted = (neighbours != NO_KEY).sum(axis=1)
        self._last = np.where(neighbours != NO_KEY, scores, np.inf).min(axis=1, initial=np.inf)

    def recall(self, search: Search) -> float:
        """The share of them that `search` finds, 0 to 1.

        A neighbour counts as found if its score reaches that of the k-th true one, so equal scores are no
        loss.
        """
        if self._wanted.sum() == 0:
            return 1.0
        scores, keys = _without(self._keys, *search(self._vectors, self.k + 1))
        found = ((scores >= self._last[:, None] - _ROUNDING) & (keys != NO_KEY)).sum(axis=1)
        return float(np.minimum(found, self._wanted).sum() / self._wanted.sum())


def _without(own: Keys, scores: Vectors, keys: Keys) -> tuple[Vectors, Keys]:
    """Drop each query's own key, or its last neighbour where that is not among them."""
    hit = keys == own[:, None]
    hit[~hit.any(axis=1), -1] = True
    shape = (len(keys), keys.shape[1] - 1)
    return scores[~hit].reshape(shape), keys[~hit].reshape(shape)
