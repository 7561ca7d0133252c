"""What Milvus has done about the index, and how well it answers."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import numpy as np

from indexes.milvus.beside import Beside, Note
from indexes.milvus.connection import Connection
from indexes.milvus.reading import Reading
from indexes.milvus.schema import items_of
from indexes.milvus.searching import compared, search

logger = logging.getLogger(__name__)

MEASURED_UP_TO = 1_000_000
"""Items. Measuring needs exact search, which reads every vector once: so many of 512 numbers are 2 GB."""

_QUERIES = 100
_K = 10
_PATIENCE_SECONDS = 600
_NOTE = Note("recall")


def finish_index(connection: Connection) -> None:
    """Have Milvus build the index over all that was written, and wait until it has."""
    connection.flush(items_of(connection.settings.collection))
    end = time.monotonic() + _PATIENCE_SECONDS
    pause = 0.05
    while waiting := _rows_waiting(connection):
        if time.monotonic() > end:
            logger.warning(
                "%s: Milvus still has %d rows to index; it goes on by itself",
                connection.settings.collection,
                waiting,
            )
            return
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def indexed_rows(connection: Connection) -> int:
    """How many rows Milvus's index covers; the others it compares one by one."""
    return int(_description(connection).get("indexed_rows") or 0)


def measure(connection: Connection, beside: Beside, reading: Reading) -> dict[int, float]:
    """{10: recall of the index against exact search}, on some of the collection's own vectors, each left out of its
    own answer. Kept beside the items; empty where there is nothing to measure, or too much.
    """
    recall: dict[int, float] = {}
    items = reading.count()
    if 1 < items <= MEASURED_UP_TO:
        ids, queries = reading.sample(_QUERIES)
        found = search(connection, queries, _K + 1, None, frozenset())
        true = compared(connection, queries, _K + 1, True, ())
        shares = []
        for id, got, wanted in zip(ids, found, true, strict=True):
            best = [hit.id for hit in wanted if hit.id != id][:_K]
            near = [hit.id for hit in got if hit.id != id][:_K]
            shares.append(len(set(best) & set(near)) / len(best) if best else 1.0)
        recall = {_K: float(np.mean(shares))}
    beside.put([Note(_NOTE.kind, _NOTE.parts, json.dumps(recall))])
    return recall


def measured(beside: Beside) -> dict[int, float]:
    """What was last measured."""
    text, _ = beside.get([_NOTE]).get(_NOTE.key, ("{}", 0))
    return {int(k): float(value) for k, value in json.loads(text).items()}


def _rows_waiting(connection: Connection) -> int:
    return int(_description(connection).get("pending_index_rows") or 0)


def _description(connection: Connection) -> dict[str, Any]:
    collection = items_of(connection.settings.collection)
    described = connection.manage(
        "asking for the index",
        lambda client, timeout: client.describe_index(collection, "vector", timeout=timeout),
    )
    return dict(described or {})
