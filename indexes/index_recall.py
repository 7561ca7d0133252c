"""What an index misses: recall@k against exact search, on a sample of the collection's own vectors, or on queries that
are not in it (`outside_queries`).
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

NOBODY = NO_KEY - 1
"""The key of a query that is no item."""

_ROUNDING = 2e-6
"""Two ways to sum a product of unit vectors differ by less than this."""


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
