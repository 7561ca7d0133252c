"""The positives of every item among all others, with their similarities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.products import Float32, Float64

Int64 = NDArray[np.int64]

ROWS_AT_A_TIME = 4096
"""In float64."""


@dataclass(frozen=True)
class Positives:
    """All pairs of a query and a positive, those of a query together, the most similar first.

    starts: int64[n + 1], where each item's pairs begin. queries, items: int64[p]. similarities: float64[p], exact.
    """

    starts: Int64
    queries: Int64
    items: Int64
    similarities: Float64

    @property
    def counts(self) -> Int64:
        """Of each item, int64[n]."""
        return np.diff(self.starts)


def positives_of(vectors: Float32, labels: Int64) -> Positives:
    """Every pair of two items of one class, float32[n, d] and int64[n]."""
    by_label = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[by_label], return_index=True, return_counts=True)
    queries, items, similarities = [], [], []
    for size in np.unique(sizes[sizes > 1]).tolist():
        begins = first[sizes == size]
        at_a_time = max(ROWS_AT_A_TIME // size, 1)
        others = ~np.eye(size, dtype=np.bool_)
        for start in range(0, len(begins), at_a_time):
            members = by_label[begins[start : start + at_a_time, None] + np.arange(size)]
            wide = vectors[members].astype(np.float64)
            products = wide @ wide.transpose(0, 2, 1)
            similarities.append(products[:, others].ravel())
            queries.append(np.repeat(members, size - 1))
            items.append(np.broadcast_to(members[:, None, :], products.shape)[:, others].ravel())
    empty = np.empty(0, np.int64)
    query = np.concatenate([empty, *queries])
    similarity = np.concatenate([np.empty(0), *similarities])
    order = np.lexsort((-similarity, query))
    counts = np.bincount(query, minlength=len(vectors))
    return Positives(
        starts=np.concatenate([[0], np.cumsum(counts)]),
        queries=query[order],
        items=np.concatenate([empty, *items])[order],
        similarities=similarity[order],
    )
