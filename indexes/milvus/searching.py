"""Neighbours: by Milvus's index, and one by one where the index may miss what has to be found.

An index over the vectors of a collection is approximate, and most of all beside a filter that few items pass. So a
search with a filter first counts them: up to `exact_up_to`, their vectors are read and compared here. That is also the
way to more neighbours than Milvus returns (16,384, and fewer from a GPU), which then reads the whole collection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Hit, HitField
from indexes.exact_search import best
from indexes.filters import Filter
from indexes.milvus.connection import Connection, Row
from indexes.milvus.expressions import Expression, expression
from indexes.milvus.scan import scan
from indexes.milvus.schema import items_of, label_of

Vectors = NDArray[np.float32]

_HITS_A_REQUEST = 16_384
_OTHER_BYTES = 1024


def search(
    connection: Connection,
    queries: Vectors,
    k: int,
    filter: Filter | None,
    include: AbstractSet[HitField],
) -> list[list[Hit]]:
    """The k best items for each of float32[q, d], with what is to be included of each."""
    settings, condition = connection.settings, expression(filter)
    collection, kind = items_of(settings.collection), settings.choice.known
    nothing: list[list[Hit]] = [[] for _ in queries]
    if condition is False or not len(queries):
        return nothing
    written = "" if condition is True else str(condition)
    one_by_one = False
    if written or k > kind.neighbours:
        passing = connection.count(collection, written)
        k = min(k, passing)
        if not k:
            return nothing
        one_by_one = k > kind.neighbours or (
            bool(written) and not kind.exact and passing <= settings.exact_up_to
        )
    fields = [field for field in ("label", "attributes") if field in include]
    if one_by_one:
        return compared(connection, queries, k, condition, fields)
    hits: list[list[Hit]] = []
    step = max(1, _HITS_A_REQUEST // k)
    for start in range(0, len(queries), step):
        # Milvus Lite takes no fields for all fields.
        found = connection.search(collection, queries[start : start + step], k, written, fields or ["id"])
        hits += [[_hit(row["id"], row["distance"], row["entity"], fields) for row in rows] for rows in found]
    return hits


def compared(
    connection: Connection, queries: Vectors, k: int, condition: Expression, fields: Sequence[str]
) -> list[list[Hit]]:
    """The same, exactly: every item that passes is read once, and what is held of them is k for each query."""
    scores = np.empty((len(queries), 0), np.float32)
    keys = np.empty((len(queries), 0), np.int64)
    held: dict[int, Row] = {}
    seen = 0
    pages = scan(
        connection,
        items_of(connection.settings.collection),
        condition,
        ["id", "vector", *fields],
        row_bytes=4 * queries.shape[1] + _OTHER_BYTES,
    )
    for rows in pages:
        vectors = np.stack([row.pop("vector") for row in rows])
        numbers = np.arange(seen, seen + len(rows))
        held |= dict(zip(numbers.tolist(), rows, strict=True))
        seen += len(rows)
        scores, keys = best(
            np.concatenate([scores, queries @ vectors.T], axis=1),
            np.concatenate([keys, np.broadcast_to(numbers, (len(queries), len(rows)))], axis=1),
            k,
        )
        wanted = set(np.unique(keys).tolist())
        held = {number: row for number, row in held.items() if number in wanted}
    return [
        [_hit(held[key]["id"], score, held[key], fields) for key, score in zip(keys_, scores_, strict=True)]
        for keys_, scores_ in zip(keys.tolist(), scores.tolist(), strict=True)
    ]


def _hit(id: str, score: float, row: Row, fields: Sequence[str]) -> Hit:
    return Hit(
        id,
        float(score),
        label_of(row) if "label" in fields else None,
        json.loads(row["attributes"]) if "attributes" in fields else {},
    )
