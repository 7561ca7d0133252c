"""Exact scores from an index whose own are approximate: more candidates than wanted, ranked by the stored vectors."""

from __future__ import annotations

import sqlite3

import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY, best
from indexes.faiss_index import FaissIndex
from indexes.item_rows import ItemRows
from indexes.search_width import SearchWidth

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_FEW_QUERIES = 4
"""So few queries are multiplied with all candidates of all of them; for more that would be mostly waste."""


def nearest(
    rows: ItemRows,
    index: FaissIndex,
    width: SearchWidth,
    connection: sqlite3.Connection,
    queries: Vectors,
    k: int,
) -> tuple[Vectors, Keys]:
    """The best k the index finds: exact scores float32[q, k] and keys int64[q, k], NO_KEY where there are fewer."""
    scores, keys = index.search(queries, index.candidates(k, width), width)
    if index.exact_scores:
        return scores, keys
    known, vectors = rows.vectors(connection, np.unique(keys[keys != NO_KEY]))
    if len(known) == 0:
        return scores[:, :k], np.full((len(queries), k), NO_KEY, dtype=np.int64)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    # A candidate without a row was deleted a moment ago.
    gone = known[at] != keys
    if len(queries) <= _FEW_QUERIES:
        scores = np.take_along_axis(queries @ vectors.T, at, axis=1)
    else:
        for i, query in enumerate(queries):
            scores[i] = vectors[at[i]] @ query
    return best(np.where(gone, -np.inf, scores).astype(np.float32), np.where(gone, NO_KEY, keys), k)
