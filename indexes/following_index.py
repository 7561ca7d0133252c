"""A FAISS index that is kept in step with the rows it is derived from, and searched.

Whatever happens to the index, the rows decide: its keys are compared with theirs, so that writes it has not seen, also
deletions, are replayed.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import exact_search
from indexes.faiss_index import FaissIndex
from indexes.filtered_keys import FilteredKeys
from indexes.filters import Filter
from indexes.item_rows import ItemRows
from indexes.reranking import nearest
from indexes.row_writing import Written
from indexes.search_width import SearchWidth
from indexes.vector_rows import BATCH

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class State:
    """An index and what is known of it. built, measured: items it had when it was built and measured.

    sound: its file was read through and is as it was written; a file that is mapped is read through later.
    """

    index: FaissIndex
    width: SearchWidth = field(default_factory=SearchWidth)
    built: int = 0
    measured: int = 0
    recall: dict[int, float] = field(default_factory=dict)
    sound: bool = True


class FollowingIndex:
    """The index of one collection. `changing` is held by whoever changes rows and index together."""

    def __init__(self, rows: ItemRows) -> None:
        """With nothing in it."""
        self.changing = RLock()
        self.state = State(FaissIndex.empty(rows.settings.embedding_size))
        self._rows = rows
        self._filtered = FilteredKeys(rows)
        self._sequence = 0
        self._in_step = True

    @property
    def kind(self) -> str:
        """The kind in use; flat while there are too few items to train the one that was named."""
        return self.state.index.kind.name

    @property
    def in_use(self) -> FaissIndex:
        """The index that answers now; `renew` puts another in its place."""
        return self.state.index

    @property
    def on_gpu(self) -> bool:
        """Whether FAISS holds it on a GPU."""
        return self.state.index.on_gpu

    @property
    def recall(self) -> dict[int, float]:
        """{k: recall against exact search} as last measured; empty if it never was."""
        return dict(self.state.recall)

    def __len__(self) -> int:
        return len(self.state.index)

    def keys(self) -> Keys:
        """int64[n], ascending."""
        return self.state.index.keys()

    def apply(self, written: Written, vectors: list[Vectors]) -> None:
        """Follow a write that is on disk. vectors: of written.added. The caller holds `changing`."""
        if not self._in_step:
            self.catch_up()
            return
        removed = np.setdiff1d(written.removed, written.added).astype(np.int64)
        # A vector that was replaced within its own write has no row any more.
        added = np.setdiff1d(written.added, written.removed).astype(np.int64)
        index = self.state.index
        try:
            if len(added):
                index.add(added, np.stack([vectors[at] for at in np.searchsorted(written.added, added)]))
            index.remove(removed)
        except BaseException:
            self._in_step = False
            raise
        self._sequence = written.sequence

    def mark_out_of_step(self) -> None:
        """A write failed in a way that leaves open whether it happened; the rows will be asked."""
        self._in_step = False

    def refresh(self, connection: sqlite3.Connection, *, follow: bool) -> int:
        """Catch up if a failed write makes it necessary or, with `follow`, if another process has written.

        Returns a number: every key up to it that the index finds from now on has a row that the connection sees.
        """
        clock = self._rows.sequence(connection)
        if not self._in_step or (follow and self._sequence < clock):
            self.catch_up(connection)
        # An index that is behind may find what has been removed; one that is ahead, only newer keys beside.
        return clock if self._sequence >= clock else 0

    def catch_up(self, connection: sqlite3.Connection | None = None) -> None:
        """Make the index hold exactly the rows that there are, or those that a connection sees if it sees newer ones
        than the index has.
        """
        with self.changing:
            if connection is not None and self._rows.sequence(connection) >= self._sequence:
                self._catch_up(connection)
            else:
                with self._rows.database.reading() as newer:
                    self._catch_up(newer)

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        self._follow(self.state.index, connection)
        self._sequence = self._rows.sequence(connection)
        self._in_step = True

    def _follow(self, index: FaissIndex, connection: sqlite3.Connection) -> None:
        rows, indexed = self._rows.keys(connection), index.keys()
        index.remove(np.setdiff1d(indexed, rows, assume_unique=True))
        new = np.setdiff1d(rows, indexed, assume_unique=True)
        for start in range(0, len(new), BATCH):
            index.add(*self._rows.vectors(connection, new[start : start + BATCH]))

    def nearest(self, connection: sqlite3.Connection, queries: Vectors, k: int) -> tuple[Vectors, Keys]:
        """The best k the index finds: exact scores float32[q, k] and keys int64[q, k], NO_KEY where there are fewer."""
        state = self.state
        return nearest(self._rows, state.index, state.width, connection, queries, k)

    def nearest_among(
        self, connection: sqlite3.Connection, queries: Vectors, k: int, filter: Filter
    ) -> tuple[Vectors, Keys]:
        """The best k of the items that pass, exactly, as of the index's present moment."""
        index = self.state.index
        if index.keeps_floats:
            return index.search_among(queries, k, self._filtered.of(connection, filter))
        return self.exactly(connection, queries, k, filter)

    def exactly(
        self, connection: sqlite3.Connection, queries: Vectors, k: int, filter: Filter | None
    ) -> tuple[Vectors, Keys]:
        """The best k of the items that pass, from the rows alone."""
        return exact_search(queries, self._rows.matching_batches(connection, filter), k)
