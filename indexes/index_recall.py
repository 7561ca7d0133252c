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

FAR_AMONG = 10_000
"""Items, drawn at random, among which a far neighbour is looked for: it is as far whatever the collection's size."""

_FAR = 0.05
"""Share of them that a query from outside has before its other half."""

NOBODY = NO_KEY - 1
"""The key of a query that is no item."""

_ROUNDING = 2e-6
"""Two ways to sum a product of unit vectors differ by less than this."""


def outside_queries(kept_back: Vectors, others: Vectors) -> Vectors:
    """Queries as from outside, float32[q, d]: halfway from each item that was kept back to a far neighbour of it.

    others: float32[m, d], m >= 1, drawn at random from the items that were not kept back, FAR_AMONG or all. Items of
    a catalogue come in groups that are alike, so one that was kept back is found at once among its own. What people
    search with need not be close to any: photos that resembled no item took 96 vertices of a graph, or 16 lists, for
    the recall that items kept back had at 16 and 2; these queries take nearly as many lists, and more vertices.
    """
    return halfway(kept_back, far_neighbours(kept_back, others))


def far_neighbours(vectors: Vectors, others: Vectors) -> Vectors:
    """float32[q, d]: for each of float32[q, d] the one of float32[m, d] that one in twenty of them is as near as."""
    rank = max(1, int(_FAR * len(others))) - 1
    found: Vectors = others[np.argpartition(-(vectors @ others.T), rank, axis=1)[:, rank]]
    return found


def halfway(vectors: Vectors, others: Vectors) -> Vectors:
    """The middle of each pair of unit vectors, float32[q, d], again of norm 1; the first of two that are opposite."""
    sums = vectors.astype(np.float64) + others
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
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
