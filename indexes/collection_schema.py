"""The tables of a collection's database, and what is fixed when they are made."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from indexes.errors import CollectionError

FORMAT = 1

_TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE clock (sequence INTEGER NOT NULL) STRICT;
INSERT INTO clock VALUES (0);
CREATE TABLE items (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label TEXT, attributes TEXT NOT NULL
) STRICT;
CREATE INDEX items_by_label ON items (label, id);
-- Apart from items, so that labels and attributes of many items lie on few pages.
CREATE TABLE vectors (
    sequence INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, vector BLOB NOT NULL
) STRICT;
CREATE TABLE thumbnails (
    sequence INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, image BLOB NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Settings:
    """What is fixed when a collection is made, but for the kind of index.

    collection: a random name that tells its index from any other's.
    """

    collection: str
    embedding_size: int
    model_fingerprint: str
    index: str


def make_tables(connection: sqlite3.Connection, path: Path, settings: Settings) -> None:
    """Make them in an empty database. Raises CollectionError if something is in it."""
    # A crash while creating leaves a file without tables, which is as good as none.
    if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise CollectionError(f"{path.parent}: a collection is there already; choose another folder")
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    values = {"format": FORMAT, **asdict(settings)}
    rows = [(name, json.dumps(value)) for name, value in values.items()]
    connection.executemany("INSERT INTO settings VALUES (?, ?)", rows)


def read_settings(connection: sqlite3.Connection, path: Path) -> Settings:
    """The settings. Raises CollectionError if there is no collection, or one of another format."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'settings'").fetchone():
        raise CollectionError(f"{path.parent}: no collection is there; make one with `hdhe index build`")
    values = {
        name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM settings")
    }
    found = values.pop("format", None)
    if found != FORMAT:
        raise CollectionError(
            f"{path}: format {found} is not the format {FORMAT} of this version; upgrade hdhe"
        )
    return Settings(**values)


def change_setting(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Write another value over one setting."""
    connection.execute("UPDATE settings SET value = ? WHERE name = ?", [json.dumps(value), name])
