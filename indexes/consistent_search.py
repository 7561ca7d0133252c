"""Hits of one moment from two things that change: the index names keys, the rows say what they are.

Between the two a write may remove a row or add one that the index does not have yet. A search that comes out short
for that reason is made again; if writes keep coming between, the rows alone answer it, exactly and in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Set as AbstractSet
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Hit, HitField
from indexes.derived_index import DerivedIndex
from indexes.exact_search import NO_KEY
from indexes.filters import Filter
from indexes.item_rows import ItemRows

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_HITS_AT_ONCE = 1 << 17
_ATTEMPTS = 3


def search(
    rows: ItemRows,
    index: DerivedIndex,
    queries: Vectors,
    k: int,
    filter: Filter | None,
    include: AbstractSet[HitField],
    *,
    follow: bool,
) -> list[list[Hit]]:
    """The k best items for each of float32[q, d], with what is to be included of each.

    follow: another process may have written since the index was made.
    """
    # Nearly always all at once; then the index need not be asked how much it holds.
    if len(queries) * k <= _HITS_AT_ONCE:
        return _some(rows, index, queries, k, filter, include, follow=follow)
    hits: list[list[Hit]] = []
    step = max(1, _HITS_AT_ONCE // min(k, max(1, len(index))))
    for start in range(0, len(queries), step):
        hits.extend(_some(rows, index, queries[start : start + step], k, filter, include, follow=follow))
    return hits


def _some(
    rows: ItemRows,
    index: DerivedIndex,
    queries: Vectors,
    k: int,
    filter: Filter | None,
    include: AbstractSet[HitField],
    *,
    follow: bool,
) -> list[list[Hit]]:
    for _ in range(_ATTEMPTS):
        with rows.database.reading() as connection:
            there = index.refresh(connection, follow=follow)
            # Beyond what there is, k costs memory and finds nothing.
            most = min(k, max(1, len(index)))
            if filter is None:
                scores, keys = index.nearest(connection, queries, most)
            else:
                scores, keys = index.nearest_among(connection, queries, most, filter)
            hits = _hits(rows, connection, scores, keys, include, there)
            fewest = min(map(len, hits), default=k)
            if fewest == k or fewest == min(k, rows.count(connection, filter)):
                return hits
    with rows.database.reading() as connection:
        most = min(k, rows.count(connection, filter))
        scores, keys = index.exactly(connection, queries, max(1, most), filter)
        return _hits(rows, connection, scores, keys, include, rows.sequence(connection))


def _hits(
    rows: ItemRows,
    connection: sqlite3.Connection,
    scores: Vectors,
    keys: Keys,
    include: AbstractSet[HitField],
    there: int,
) -> list[list[Hit]]:
    """The items of these keys with their scores, without those that have no row. there: see ItemRows.by_key."""
    numbers = keys.tolist()
    items = rows.by_key(connection, set(chain.from_iterable(numbers)) - {NO_KEY}, there=there)
    labels, attributes = "label" in include, "attributes" in include
    return [
        [
            Hit(
                item.id,
                score,
                item.label if labels else None,
                # A copy: what a caller does with it must not show in other hits.
                dict(item.attributes) if attributes else {},
            )
            for score, key in zip(row_scores, row_keys, strict=True)
            if (item := items.get(key)) is not None
        ]
        for row_scores, row_keys in zip(scores.tolist(), numbers, strict=True)
    ]
