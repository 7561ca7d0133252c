"""An index made from the rows of a collection, and how much it misses; both can be given up halfway."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from indexes.faiss_index import FaissIndex
from indexes.index_kinds import IndexKind
from indexes.index_recall import NOBODY, SAMPLE, TrueNeighbours
from indexes.index_training import training_size
from indexes.index_tuning import tuned, widened
from indexes.item_rows import ItemRows
from indexes.outside_queries import group_size, query_count, with_groups
from indexes.reranking import nearest
from indexes.search_width import SearchWidth
from indexes.vector_rows import BATCH

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

MEASURED_K = 10


class StoppedError(Exception):
    """Work on the index was given up because the collection is being closed."""


@dataclass(frozen=True)
class Built:
    """A new index, the width that reaches the wanted recall, and {k: recall against exact search}."""

    index: FaissIndex
    width: SearchWidth
    recall: dict[int, float]


def build(
    rows: ItemRows,
    connection: sqlite3.Connection,
    keys: Keys,
    kind: IndexKind,
    *,
    refined: bool,
    wanted: float,
    stop: Event,
) -> Built:
    """An index of all rows, tuned. keys int64[n]: of the rows. refined: as of `FaissIndex.build`.

    What it is tuned on is kept back, and added at the end (`outside_queries`). Raises StoppedError once `stop` is set.
    """
    size = rows.settings.embedding_size
    training = rows.vectors(connection, _sample(keys, training_size(kind, len(keys))))[1]
    asked = _sample(keys, query_count(len(keys))) if kind.visited or kind.lossy else keys[:0]
    if len(asked) == 0:
        every = _batches(rows, connection, stop)
        index = FaissIndex.build(kind, size, training, every, items=len(keys), refined=refined)
        return Built(index, *measure(rows, connection, keys, index, kind.width, wanted=wanted, stop=stop))
    queries = rows.vectors(connection, asked)[1]
    kept = with_groups(asked, queries, _batches(rows, connection, stop), group_size(len(keys)))

    def others() -> Iterator[tuple[Keys, Vectors]]:
        for some, vectors in _batches(rows, connection, stop):
            other = ~np.isin(some, kept)
            yield some[other], vectors[other]

    index = FaissIndex.build(kind, size, training, others(), items=len(keys), refined=refined)
    truth = TrueNeighbours(np.full(len(asked), NOBODY), queries, others(), MEASURED_K)
    width, recall = tuned(recall_at(truth, rows, connection, index), kind, wanted)
    for start in range(0, len(kept), BATCH):
        index.add(*rows.vectors(connection, kept[start : start + BATCH]))
    return Built(index, width, {MEASURED_K: round(recall, 4)})


def measure(
    rows: ItemRows,
    connection: sqlite3.Connection,
    keys: Keys,
    index: FaissIndex,
    width: SearchWidth,
    *,
    wanted: float,
    stop: Event,
) -> tuple[SearchWidth, dict[int, float]]:
    """{k: recall against exact search} on a sample, and the width of a search that it takes, which is no less than now.

    Raises StoppedError once `stop` is set.
    """
    sample, vectors = rows.vectors(connection, _sample(keys, SAMPLE))
    if len(sample) == 0:
        return width, {}
    truth = TrueNeighbours(sample, vectors, _batches(rows, connection, stop), MEASURED_K)
    width, recall = widened(recall_at(truth, rows, connection, index), width, wanted)
    return width, {MEASURED_K: round(recall, 4)}


def recall_at(
    truth: TrueNeighbours, rows: ItemRows, connection: sqlite3.Connection, index: FaissIndex
) -> Callable[[SearchWidth], float]:
    """What an index finds of the true neighbours at a width."""

    def recall(width: SearchWidth) -> float:
        return truth.recall(lambda queries, k: nearest(rows, index, width, connection, queries, k))

    return recall


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
