"""The tables of a collection's database, and what is fixed when they are made."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexes.errors import CollectionError
from indexes.gpu_placement import has_cagra
from indexes.index_kinds import CHOICES
from indexes.index_tuning import WANTED_RECALL

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
    """What is fixed when a collection is made, but for what is said of its index.

    collection: a random name that tells its index from any other's. index: the kind that was named, or auto. recall:
    what the index has to find of what exact search finds. memory: bytes that it may take, None for what suits the
    machine. trial: what `index_trial` has found, as JSON.
    """

    collection: str
    embedding_size: int
    model_fingerprint: str
    index: str
    recall: float = WANTED_RECALL
    memory: int | None = None
    trial: dict[str, Any] | None = None


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


def change_settings(connection: sqlite3.Connection, settings: Settings) -> None:
    """Write other settings over those that are there."""
    rows = [(name, json.dumps(value)) for name, value in asdict(settings).items()]
    connection.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", rows)


def check_index_settings(index: str, recall: float, memory: int | None) -> None:
    """Raises CollectionError if what is said of an index (as in Settings) cannot be."""
    if index not in CHOICES:
        raise CollectionError(f"index must be one of {', '.join(CHOICES)}; got {index!r}")
    if index == "cagra" and not has_cagra():
        raise CollectionError(
            "index cagra needs a GPU and FAISS with cuVS (`pip install faiss-gpu-cuvs` in the place of faiss-gpu); "
            "choose hnsw without them"
        )
    if not 0 < recall <= 1:
        raise CollectionError(f"recall must be above 0 and at most 1; got {recall}")
    if memory is not None and memory < 1:
        raise CollectionError(f"memory must be at least 1 byte; got {memory}")
