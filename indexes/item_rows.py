"""The rows of a collection: the truth from which the index is derived.

Every write of an item takes the next number of one clock, and that sequence number is also the key of its
row, in SQLite and in the index. Replacing an item removes its row and adds one under a new key. So the vector
of a key never changes and no key is ever used twice; an index agrees with the rows exactly if it holds the
same set of keys.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexes import row_writing
from indexes.collection import Attributes, Item, NewItem, Upserted, Write
from indexes.collection_schema import Settings, change_settings, make_tables, read_settings
from indexes.errors import CollectionError, UnknownItemError
from indexes.filters import Filter
from indexes.index_tuning import WANTED_RECALL
from indexes.remembered_rows import HitRow, RememberedRows
from indexes.repeated_writes import has_tables, make_tables_of_sources, settle
from indexes.row_writing import Written, clock
from indexes.sqlite_database import Database, storage_errors
from indexes.vector_rows import BATCH, Keys, VectorRows, Vectors

DATABASE_NAME = "collection.sqlite"
"""In a collection's folder."""

_decoder = json.JSONDecoder()

_SCAN_SHARE = 8
"""If one in so many items passes a filter, all vectors are read in order instead of one by one."""


class ItemRows:
    """The items of one collection in one SQLite file. Safe for reading from many threads and writing from one."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """Open; raises CollectionError if there is none, StorageError if it is damaged."""
        if not path.is_file():
            raise CollectionError(f"{path.parent}: no collection is there; make one with `hdhe index build`")
        self.database = Database(path, read_only=read_only)
        try:
            with self.database.reading() as connection:
                self.settings = read_settings(connection, path)
                remembers_sources = has_tables(connection)
            if not remembers_sources and not read_only:
                with self.database.writing() as connection:
                    make_tables_of_sources(connection)
        except BaseException:
            self.database.close()
            raise
        self._vectors = VectorRows(path, self.settings.embedding_size)
        self._remembered = RememberedRows()

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        embedding_size: int,
        model_fingerprint: str,
        index: str,
        recall: float = WANTED_RECALL,
        memory: int | None = None,
    ) -> ItemRows:
        """Make the file and open it for writing. Raises CollectionError if a collection is there already."""
        settings = Settings(uuid.uuid4().hex, embedding_size, model_fingerprint, index, recall, memory)
        database = Database(path, read_only=False)
        try:
            with database.writing() as connection:
                make_tables(connection, path, settings)
        finally:
            database.close()
        return cls(path, read_only=False)

    # Writing

    def upsert(self, items: Sequence[NewItem]) -> Written:
        """Insert or replace, all or none, in order; on disk when it returns. The items have been checked.

        An item with a source whose write was made before, or would change nothing, is left as it is.
        """
        with self.database.writing() as connection:
            return row_writing.upsert(connection, items)

    def settle(self, write: Write) -> Upserted | None:
        """The answer to an upsert that need not be made, with its name on disk; None if it is to be made."""
        with self.database.writing() as connection:
            return settle(connection, write)

    def delete(self, ids: Sequence[str]) -> tuple[list[bool], Written]:
        """Delete by id, all or none; for each id whether it was there. On disk when it returns."""
        with self.database.writing() as connection:
            return row_writing.delete(connection, ids)

    def change_settings(self, settings: Settings) -> None:
        """Remember other settings of the index. The caller sees that no write is under way."""
        with self.database.writing() as connection:
            change_settings(connection, settings)
        self.settings = settings

    def copy(self, target: Path, collection: str) -> int:
        """Write a consistent copy under another name to a new file that is on disk then; returns its clock."""
        self.database.copy(target)
        copied = Database(target, read_only=False)
        try:
            with copied.writing() as connection:
                sequence = clock(connection)
                change_settings(connection, replace(self.settings, collection=collection))
        finally:
            copied.close()
        with storage_errors(target), target.open("rb") as file:
            os.fsync(file.fileno())
        return sequence

    # Reading; every function takes the connection of one read transaction, so that its caller can join
    # several

    def sequence(self, connection: sqlite3.Connection) -> int:
        """The number of the last write."""
        return clock(connection)

    def by_id(self, connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Item]:
        """Those of the ids that are there."""
        query = (
            "SELECT id, label, attributes, sequence FROM items WHERE id IN (SELECT value FROM json_each(?))"
        )
        # ASCII escapes carry any Python string; one that is not valid Unicode just finds nothing.
        rows = connection.execute(query, [json.dumps(list(ids))])
        return {item.id: item for item in map(_item, rows)}

    def by_key(
        self, connection: sqlite3.Connection, keys: AbstractSet[int], *, there: int = 0
    ) -> dict[int, HitRow]:
        """The rows of those of the keys that are there.

        there: keys up to this one are known to be, so that what was read of them before holds.
        """
        found = self._remembered.of(keys if max(keys, default=0) <= there else ())
        missing = keys - found.keys()
        if missing:
            wanted = "SELECT value FROM json_each(?)"
            query = f"SELECT sequence, id, label, attributes FROM items WHERE sequence IN ({wanted})"
            rows = connection.execute(query, [json.dumps(list(missing))])
            read = {
                key: HitRow(id, label, _attributes(text), len(id) + len(label or "") + len(text))
                for key, id, label, text in rows
            }
            self._remembered.add(read)
            found |= read
        return found

    def page(
        self, connection: sqlite3.Connection, after: str | None, limit: int, filter: Filter | None
    ) -> list[Item]:
        """Items in the order of their ids (code points), behind `after`."""
        condition, parameters = _where(filter)
        query = f"SELECT id, label, attributes, sequence FROM items WHERE id > ? AND {condition} ORDER BY id LIMIT ?"
        return [_item(row) for row in connection.execute(query, [after or "", *parameters, limit])]

    def since(self, connection: sqlite3.Connection, after: int, limit: int) -> list[Item]:
        """Items in the order of their sequence numbers, those behind `after`, at most `limit`."""
        query = (
            "SELECT id, label, attributes, sequence FROM items WHERE sequence > ? ORDER BY sequence LIMIT ?"
        )
        return [_item(row) for row in connection.execute(query, [after, limit])]

    def ids(self, connection: sqlite3.Connection) -> list[str]:
        """All of them."""
        return [id for (id,) in connection.execute("SELECT id FROM items")]

    def count(self, connection: sqlite3.Connection, filter: Filter | None = None) -> int:
        """How many items pass."""
        condition, parameters = _where(filter)
        return int(
            connection.execute(f"SELECT COUNT(*) FROM items WHERE {condition}", parameters).fetchone()[0]
        )

    def label_count(self, connection: sqlite3.Connection) -> int:
        """How many different labels there are."""
        return int(connection.execute("SELECT COUNT(DISTINCT label) FROM items").fetchone()[0])

    def keys(self, connection: sqlite3.Connection, filter: Filter | None = None) -> Keys:
        """int64[n], ascending: keys of the items that pass."""
        condition, parameters = _where(filter)
        rows = connection.execute(f"SELECT sequence FROM items WHERE {condition}", parameters)
        return np.sort(np.fromiter((key for (key,) in rows), dtype=np.int64))

    def vectors(self, connection: sqlite3.Connection, keys: Keys) -> tuple[Keys, Vectors]:
        """Vectors float32[m, d] of those keys that are there, with their keys int64[m], ascending."""
        return self._vectors.of(connection, keys)

    def vector_batches(self, connection: sqlite3.Connection) -> Iterator[tuple[Keys, Vectors]]:
        """Keys int64[m] and vectors float32[m, d] of all items, a batch at a time, in the order of their keys."""
        return self._vectors.batches(connection)

    def matching_batches(
        self, connection: sqlite3.Connection, filter: Filter | None
    ) -> Iterator[tuple[Keys, Vectors]]:
        """The same of those items that pass."""
        if filter is None:
            yield from self.vector_batches(connection)
            return
        wanted = self.keys(connection, filter)
        if len(wanted) * _SCAN_SHARE < self.count(connection):
            for start in range(0, len(wanted), BATCH):
                yield self.vectors(connection, wanted[start : start + BATCH])
            return
        # Where many pass, reading past the others is quicker than looking up each.
        for keys, vectors in self.vector_batches(connection):
            passing = np.isin(keys, wanted, assume_unique=True)
            if passing.any():
                yield keys[passing], vectors[passing]

    def labelled(self, connection: sqlite3.Connection) -> tuple[Vectors, list[str]]:
        """Vectors float32[n, d] and labels of the items with a label, in the order of their keys."""
        return self._vectors.labelled(connection)

    def thumbnail(self, connection: sqlite3.Connection, id: str) -> bytes | None:
        """The thumbnail of an item; raises UnknownItemError."""
        item = self.by_id(connection, [id]).get(id)
        if item is None:
            raise unknown(id)
        row = connection.execute(
            "SELECT image FROM thumbnails WHERE sequence = ?", [item.sequence]
        ).fetchone()
        return None if row is None else bytes(row[0])

    def damage(self, connection: sqlite3.Connection) -> list[str]:
        """What SQLite's own check of the whole file finds, one line each; empty if nothing."""
        with storage_errors(self.database.path):
            found = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(10)")]
            query = "SELECT COUNT(*) FROM items LEFT JOIN vectors USING (sequence) WHERE vector IS NULL"
            missing = connection.execute(query).fetchone()[0]
        return ([] if found == ["ok"] else found) + ([f"{missing} items without a vector"] if missing else [])


def unknown(id: str) -> UnknownItemError:
    """The error for an id that is not there."""
    shown = ascii(id)
    return UnknownItemError(f"no item has the id {shown if len(shown) <= 100 else shown[:97] + '...'}")


def _item(row: tuple[str, str | None, str | None, int]) -> Item:
    id, label, text, sequence = row
    return Item(id, label, _attributes(text), sequence)


def _attributes(text: str | None) -> Attributes:
    # Without what `json.loads` does beside, for texts of another origin: it would be a third of the time of a hit.
    return {} if text is None else _decoder.raw_decode(text)[0]


def _where(filter: Filter | None) -> tuple[str, Sequence[str | None]]:
    return ("1", []) if filter is None else filter.sql()
