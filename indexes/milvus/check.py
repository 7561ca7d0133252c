"""Whether a collection in Milvus is what this project wrote: everything is read once, and nothing is changed."""

from __future__ import annotations

import json

import numpy as np

from indexes.milvus.beside import Beside, thumbnail_keys
from indexes.milvus.connection import Connection, Row
from indexes.milvus.scan import scan
from indexes.milvus.schema import items_of, label_of
from indexes.milvus.searchable_attributes import facts, ranges

_DAMAGED = 0.01
"""A stored vector was checked to be of length 1 within a tenth of this."""

_FIELDS = ("id", "vector", "label", "attributes", "sequence", "pieces", "facts", "ranges")
_OTHER_BYTES = 4096


def find_problems(connection: Connection, beside: Beside, embedding_size: int) -> tuple[int, list[str]]:
    """How many items there are, and what is wrong with them, one line each."""
    items = damaged = misfiltered = without = 0
    labels: set[str] = set()
    row_bytes = 4 * embedding_size + _OTHER_BYTES
    for rows in scan(
        connection, items_of(connection.settings.collection), True, _FIELDS, row_bytes=row_bytes
    ):
        items += len(rows)
        lengths = np.linalg.norm(np.stack([row["vector"] for row in rows]), axis=1)
        # Written so that a NaN counts as damaged.
        damaged += int((~(np.abs(lengths - 1) < _DAMAGED)).sum())
        misfiltered += sum(not _filtered_as_it_is(row) for row in rows)
        keys = [
            thumbnail_keys(row["id"], int(row["sequence"]), int(row["pieces"]))
            for row in rows
            if row["pieces"]
        ]
        there = beside.present([key for each in keys for key in each])
        without += sum(any(key.key not in there for key in each) for each in keys)
        labels |= {label for row in rows if (label := label_of(row)) is not None}
    counted = {key.partition("\n")[2] for key, _, _ in beside.of_kind("label")}
    problems = [
        (damaged, "vectors are damaged (not of length 1); upsert their items again"),
        (misfiltered, "items are filtered by other attributes than they have; upsert them again"),
        (without, "items lack a part of their thumbnail; upsert them again"),
        (
            len(labels ^ counted),
            "labels are counted wrong; `hdhe index build --skip-existing` counts them anew",
        ),
    ]
    return items, [f"{count} {what}" for count, what in problems if count]


def _filtered_as_it_is(row: Row) -> bool:
    try:
        attributes = json.loads(row["attributes"])
        return sorted(row["facts"]) == sorted(facts(attributes)) and row["ranges"] == ranges(attributes)
    except (ValueError, AttributeError):
        return False
