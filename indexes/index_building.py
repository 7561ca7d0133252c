"""An index made from the rows of a collection, and how much it misses; both can be given up halfway."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from threading import Event

import numpy as np
from numpy.typing import NDArray

from indexes.faiss_index import FaissIndex
from indexes.index_kinds import IndexKind
from indexes.index_recall import SAMPLE, TrueNeighbours
from indexes.index_training import training_size
from indexes.item_rows import ItemRows
from indexes.reranking import nearest

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

MEASURED_K = 10
WANTED_RECALL = 0.95
"""The width of a search is doubled until the index reaches this, or `_MOST_EFFORT`."""
_MOST_EFFORT = 1024


class StoppedError(Exception):
    """Work on the index was given up because the collection is being closed."""


def build(
    rows: ItemRows, connection: sqlite3.Connection, keys: Keys, kind: IndexKind, stop: Event
) -> FaissIndex:
    """An index of all rows; keys int64[n]: theirs. Raises StoppedError once `stop` is set."""
    training = rows.vectors(connection, _sample(keys, training_size(kind, len(keys))))[1]
    size = rows.settings.embedding_size
    return FaissIndex.build(kind, size, training, _batches(rows, connection, stop), items=len(keys))


def measure(
    rows: ItemRows, connection: sqlite3.Connection, keys: Keys, index: FaissIndex, stop: Event
) -> dict[int, float]:
    """{k: recall against exact search} on a sample; the width of the search is raised while it is too low.

    Raises StoppedError once `stop` is set.
    """
    sample, vectors = rows.vectors(connection, _sample(keys, SAMPLE))
    if len(sample) == 0:
        return {}
    truth = TrueNeighbours(sample, vectors, _batches(rows, connection, stop), MEASURED_K)

    def search(queries: Vectors, k: int) -> tuple[Vectors, Keys]:
        return nearest(rows, index, connection, queries, k)

    while (recall := truth.recall(search)) < WANTED_RECALL and 0 < index.effort < _MOST_EFFORT:
        index.effort *= 2
    return {MEASURED_K: round(recall, 4)}


def _batches(rows: ItemRows, connection: sqlite3.Connection, stop: Event) -> Iterator[tuple[Keys, Vectors]]:
    for batch in rows.vector_batches(connection):
        if stop.is_set():
            raise StoppedError
        yield batch


def _sample(keys: Keys, size: int) -> Keys:
    """At most so many of the keys, ascending; the same ones for the same keys."""
    if size >= len(keys):
        return keys
    return np.sort(np.random.default_rng(0).choice(keys, size, replace=False))
