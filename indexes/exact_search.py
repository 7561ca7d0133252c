"""Exact nearest neighbours of a few queries among vectors that come in batches; memory is bounded by the batch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

NO_KEY = -1
"""Stands where there is no further neighbour; its score is -inf."""


def exact_search(
    queries: NDArray[np.float32], batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k greatest inner products. queries: float32[q, d]; batches: keys int64[m], vectors float32[m, d].

    Returns scores float32[q, k] and keys int64[q, k], best first; of equal scores the smaller key goes first.
    Missing neighbours are NO_KEY with score -inf.
    """
    best_scores = np.empty((len(queries), 0), dtype=np.float32)
    best_keys = np.empty((len(queries), 0), dtype=np.int64)
    for keys, vectors in batches:
        scores = queries @ vectors.T
        rows = np.broadcast_to(keys, scores.shape)
        best_scores, best_keys = best(
            np.concatenate([best_scores, scores], axis=1), np.concatenate([best_keys, rows], axis=1), k
        )
    missing = k - best_scores.shape[1]
    if missing > 0:
        best_scores = np.pad(best_scores, ((0, 0), (0, missing)), constant_values=-np.inf)
        best_keys = np.pad(best_keys, ((0, 0), (0, missing)), constant_values=NO_KEY)
    return best_scores, best_keys


def best(
    scores: NDArray[np.float32], keys: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k greatest of each row, best first; of equal scores the smaller key goes first."""
    if scores.shape[1] > k:
        # The k-th greatest score decides; among its equals the smaller keys must stay, so that the answer
        # does not depend on how the vectors were cut into batches.
        threshold = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        width = int((scores >= threshold).sum(axis=1).max())
        chosen = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        scores, keys = np.take_along_axis(scores, chosen, axis=1), np.take_along_axis(keys, chosen, axis=1)
    order = np.lexsort((keys, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(keys, order, axis=1)
