"""A copy of a collection at one moment, while it is written: rows and index under a name of their own.

The name is new because the two collections go on apart, and a key would mean one vector in this and another in that.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from indexes.index_file import INDEX_NAME, IndexFileError, copy_index_file
from indexes.item_rows import DATABASE_NAME, ItemRows
from indexes.new_folder import new_folder
from indexes.snapshot_manifest import Manifest, write_manifest

WriteIndex = Callable[[Path, str], None]
"""Writes the index as a file for a collection of this name."""


def write_snapshot(rows: ItemRows, write_index: WriteIndex, folder: Path) -> Manifest:
    """Copy rows and index into a new or empty folder while reads and writes go on.

    The folder appears whole or, after a crash, not at all. Raises CollectionError if something is there, StorageError
    if the disk refuses.
    """
    with new_folder(folder) as temporary:
        copy_into(temporary, rows, write_index)
        return describe(temporary)


def copy_into(folder: Path, rows: ItemRows, write_index: WriteIndex) -> None:
    """The same into a folder that is there."""
    # The index first: one that is behind its rows catches up when it is opened, one ahead of them is refused.
    name = uuid.uuid4().hex
    write_index(folder / INDEX_NAME, name)
    rows.copy(folder / DATABASE_NAME, name)


def copy_files(source: Path, folder: Path) -> None:
    """The same from the files of a collection, of which another process may be writing; needs no memory for the index.

    An index file that is missing or damaged is left out: the copy builds its own when it is first opened.
    """

    def copy_index(path: Path, name: str) -> None:
        try:
            copy_index_file(source / INDEX_NAME, path, name)
        except IndexFileError:
            path.unlink(missing_ok=True)

    rows = ItemRows(source / DATABASE_NAME, read_only=True)
    try:
        copy_into(folder, rows, copy_index)
    finally:
        rows.database.close()


def describe(folder: Path) -> Manifest:
    """Write the manifest of a copy: of its rows, and of all files that lie beside them by now."""
    rows = ItemRows(folder / DATABASE_NAME, read_only=True)
    try:
        with rows.database.reading() as connection:
            sequence, items = rows.sequence(connection), rows.count(connection)
    finally:
        rows.database.close()
    for suffix in ("-wal", "-shm"):  # of the reading just now
        (folder / f"{DATABASE_NAME}{suffix}").unlink(missing_ok=True)
    model = rows.settings.model_fingerprint
    return write_manifest(folder, sequence=sequence, items=items, model_fingerprint=model)
