"""The half of an embedded collection that needs no index: reading its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Item
from indexes.errors import CollectionError
from indexes.filters import Filter
from indexes.item_checks import check_id
from indexes.item_rows import DATABASE_NAME, ItemRows, unknown


class CollectionReading:
    """Every call is one read transaction, and so of one moment."""

    def __init__(self, rows: ItemRows) -> None:
        self._rows = rows

    @property
    def name(self) -> str:
        """A random name that no other collection has, nor any copy of this one."""
        return self._rows.settings.collection

    @property
    def embedding_size(self) -> int:
        """D of its vectors."""
        return self._rows.settings.embedding_size

    @property
    def model_fingerprint(self) -> str:
        """The model that filled it."""
        return self._rows.settings.model_fingerprint

    def get(self, ids: Sequence[str]) -> list[Item | None]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            found = self._rows.by_id(connection, ids)
        return [found.get(id) for id in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            found = self._rows.by_id(connection, ids)
            missing = next((id for id in ids if id not in found), None)
            if missing is not None:
                raise unknown(missing)
            wanted = np.array([found[id].sequence for id in ids], dtype=np.int64)
            keys, vectors = self._rows.vectors(connection, wanted)
        return vectors[np.searchsorted(keys, wanted)]

    def thumbnail(self, id: str) -> bytes | None:
        """See Collection."""
        with self._rows.database.reading() as connection:
            return self._rows.thumbnail(connection, id)

    def page(self, *, after: str | None = None, limit: int = 100, filter: Filter | None = None) -> list[Item]:
        """See Collection."""
        if limit < 1:
            raise CollectionError(f"limit must be at least 1; got {limit}")
        if after is not None:
            check_id(after)
        with self._rows.database.reading() as connection:
            return self._rows.page(connection, after, min(limit, 1 << 31), filter)

    def since(self, sequence: int, limit: int = 100) -> list[Item]:
        """Items written after the write of this number, in the order of their writes, at most `limit`."""
        with self._rows.database.reading() as connection:
            return self._rows.since(connection, sequence, limit)

    def ids(self) -> list[str]:
        """All of them, in no particular order."""
        with self._rows.database.reading() as connection:
            return self._rows.ids(connection)

    def sample(self, count: int) -> NDArray[np.float32]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            keys = self._rows.keys(connection)
            return self._rows.vectors(connection, keys[:: max(1, -(-len(keys) // count))])[1]

    def labelled(self) -> tuple[NDArray[np.float32], list[str], int]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            sequence = self._rows.sequence(connection)
            vectors, labels = self._rows.labelled(connection)
        return vectors, labels, sequence

    def count(self, filter: Filter | None = None) -> int:
        """See Collection."""
        with self._rows.database.reading() as connection:
            return self._rows.count(connection, filter)


@contextmanager
def stored_items(folder: Path) -> Iterator[CollectionReading]:
    """The items of a collection that another process may be writing, without its index. Raises CollectionError."""
    rows = ItemRows(folder / DATABASE_NAME, read_only=True)
    try:
        yield CollectionReading(rows)
    finally:
        rows.database.close()
