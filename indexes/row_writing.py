"""The rows that a write of items adds and removes, inside its transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from indexes.collection import Item, NewItem, Upserted
from indexes.repeated_writes import remember, settle
from indexes.vector_rows import Vectors


@dataclass(frozen=True)
class Written:
    """What a write did. removed and added: keys of rows; vectors: of those added; sequence: the clock after it."""

    upserted: list[Upserted]
    removed: list[int]
    added: list[int]
    vectors: list[Vectors]
    sequence: int


def clock(connection: sqlite3.Connection) -> int:
    """The number of the last write."""
    return int(connection.execute("SELECT sequence FROM clock").fetchone()[0])


def upsert(connection: sqlite3.Connection, items: Sequence[NewItem]) -> Written:
    """Insert or replace, in order. An item with a source whose write was made before, or would change nothing, is left
    as it is.
    """
    upserted: list[Upserted] = []
    removed: list[int] = []
    added: list[int] = []
    vectors: list[Vectors] = []
    sequence = clock(connection)
    for item in items:
        write = item.write
        repeated = None if write is None else settle(connection, write)
        if repeated is not None:
            upserted.append(repeated)
            continue
        sequence += 1
        gone = _delete(connection, item.id)
        removed.extend(gone)
        attributes = json.dumps(dict(item.attributes), ensure_ascii=False)
        connection.execute(
            "INSERT INTO items VALUES (?, ?, ?, ?)", [sequence, item.id, item.label, attributes]
        )
        connection.execute("INSERT INTO vectors VALUES (?, ?)", [sequence, item.vector.tobytes()])
        if item.thumbnail is not None:
            connection.execute("INSERT INTO thumbnails VALUES (?, ?)", [sequence, item.thumbnail])
        stored = Item(item.id, item.label, json.loads(attributes), sequence)
        answer = Upserted(stored, created=not gone)
        if write is not None:
            remember(connection, write, answer)
        upserted.append(answer)
        added.append(sequence)
        vectors.append(item.vector)
    if added:
        connection.execute("UPDATE clock SET sequence = ?", [sequence])
    return Written(upserted, removed, added, vectors, sequence)


def delete(connection: sqlite3.Connection, ids: Sequence[str]) -> tuple[list[bool], Written]:
    """Delete by id; for each id whether it was there."""
    removed: list[int] = []
    found: list[bool] = []
    for id in ids:
        gone = _delete(connection, id)
        removed.extend(gone)
        found.append(bool(gone))
    sequence = clock(connection)
    if removed:
        sequence += len(removed)
        connection.execute("UPDATE clock SET sequence = ?", [sequence])
    return found, Written([], removed, [], [], sequence)


def _delete(connection: sqlite3.Connection, id: str) -> list[int]:
    rows = connection.execute("DELETE FROM items WHERE id = ? RETURNING sequence", [id]).fetchall()
    return [key for (key,) in rows]
