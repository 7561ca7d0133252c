"""Writes that need not be made again: the item is as it would be, or the same write was made before under its name.

An item keeps a digest of the image that it came from, and a write that its client named is remembered for
`KEPT_SECONDS`. Both stand beside the items and change in the items' own transactions: a crash leaves a write together
with what is known of it, or neither. Collections of earlier versions get the tables when they are opened for writing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from dataclasses import dataclass

from indexes.collection import Attributes, Item, Upserted, Write
from indexes.errors import RepeatedKeyError

KEPT_SECONDS = 24 * 3600

_TABLES = """
CREATE TABLE IF NOT EXISTS sources (
    sequence INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, content BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS named_writes (
    key TEXT NOT NULL, position INTEGER NOT NULL, digest BLOB NOT NULL, sequence INTEGER NOT NULL,
    created INTEGER NOT NULL, made_at REAL NOT NULL, PRIMARY KEY (key, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS named_writes_by_time ON named_writes (made_at);
"""


@dataclass(frozen=True)
class Repeated:
    """answer: to the earlier write, or of the item as it is. named: whether it is known by its name."""

    answer: Upserted
    named: bool


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether there is where to look."""
    return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'named_writes'").fetchone())


def make_tables_of_sources(connection: sqlite3.Connection) -> None:
    """Make those that are missing."""
    for statement in _TABLES.split(";"):
        connection.execute(statement)


def find(connection: sqlite3.Connection, write: Write) -> Repeated | None:
    """How this write was or would be answered without making it; None if it is to be made.

    Raises RepeatedKeyError if another write has its name.
    """
    return _by_name(connection, write) or _by_content(connection, write)


def settle(connection: sqlite3.Connection, write: Write) -> Upserted | None:
    """As `find`, in a writing transaction: where the item is as it would be, the name of this write is remembered."""
    known = find(connection, write)
    if known is None:
        return None
    if not known.named:
        _remember_name(connection, write, known.answer)
    return known.answer


def remember(connection: sqlite3.Connection, write: Write, answer: Upserted) -> None:
    """Keep the digest with the item that was just written, and the answer under the name of the write."""
    connection.execute("INSERT INTO sources VALUES (?, ?)", [answer.item.sequence, write.source.content])
    _remember_name(connection, write, answer)


def same_content(item: Item, write: Write) -> bool:
    """Whether an item has the label and the attributes that a write asks for."""
    # As text, because to Python 1, 1.0 and true are equal.
    return item.label == write.label and _canonical(item.attributes) == _canonical(write.attributes)


def key_is_taken(write: Write) -> RepeatedKeyError:
    """The error for a name that was given to another write."""
    return RepeatedKeyError(
        f"the key {write.source.key!a} has named another write within {KEPT_SECONDS // 3600} hours; "
        "take a new key for each request"
    )


def _by_name(connection: sqlite3.Connection, write: Write) -> Repeated | None:
    source = write.source
    if source.key is None:
        return None
    row = connection.execute(
        "SELECT digest, sequence, created FROM named_writes WHERE key = ? AND position = ? AND made_at > ?",
        [source.key, source.position, time.time() - KEPT_SECONDS],
    ).fetchone()
    if row is None:
        return None
    known, sequence, created = row
    if known != digest(write):
        raise key_is_taken(write)
    # As it was stored and answered: through JSON.
    attributes = json.loads(json.dumps(dict(write.attributes)))
    return Repeated(Upserted(Item(write.id, write.label, attributes, sequence), bool(created)), named=True)


def _by_content(connection: sqlite3.Connection, write: Write) -> Repeated | None:
    row = connection.execute(
        "SELECT label, attributes, sequence FROM items JOIN sources USING (sequence) "
        "WHERE id = ? AND content = ?",
        [write.id, write.source.content],
    ).fetchone()
    if row is None:
        return None
    label, text, sequence = row
    item = Item(write.id, label, json.loads(text), sequence)
    return Repeated(Upserted(item, created=False), named=False) if same_content(item, write) else None


def _remember_name(connection: sqlite3.Connection, write: Write, answer: Upserted) -> None:
    source = write.source
    if source.key is None:
        return
    now = time.time()
    connection.execute("DELETE FROM named_writes WHERE made_at <= ?", [now - KEPT_SECONDS])
    connection.execute(
        "INSERT INTO named_writes VALUES (?, ?, ?, ?, ?, ?)",
        [source.key, source.position, digest(write), answer.item.sequence, answer.created, now],
    )


def digest(write: Write) -> bytes:
    """Of all that a write asks for, by which another of the same name is known to be another."""
    text = json.dumps([write.id, write.label, _canonical(write.attributes)])
    return hashlib.blake2b(text.encode() + write.source.content, digest_size=16).digest()


def _canonical(attributes: Attributes) -> str:
    return json.dumps(dict(attributes), sort_keys=True)
