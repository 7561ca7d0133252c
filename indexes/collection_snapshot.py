"""A copy of a collection at one moment, as a folder that opens like any other."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path

from indexes.derived_index import DerivedIndex
from indexes.durable import sync
from indexes.errors import CollectionError, StorageError
from indexes.index_file import INDEX_NAME
from indexes.item_rows import DATABASE_NAME, ItemRows


def write_snapshot(rows: ItemRows, index: DerivedIndex, folder: Path) -> int:
    """Copy rows and index into a new or empty folder while reads and writes go on; returns the copy's sequence.

    The folder appears whole or, after a crash, not at all; then a stray folder with a dot before its name is left.
    Raises CollectionError if something is there, StorageError if the disk refuses.
    """
    folder = folder.absolute()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CollectionError(f"{folder}: a snapshot needs a new or empty folder; choose another")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            # The index first: one that is behind its rows catches up when it is opened, one ahead of them is refused.
            name = uuid.uuid4().hex
            index.write(temporary / INDEX_NAME, name)
            sequence = rows.copy(temporary / DATABASE_NAME, name)
            temporary.chmod(0o755)  # mkdtemp lets only the owner in
            sync(temporary)
            temporary.rename(folder)
            sync(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{folder}: no snapshot was written ({reason}); free space or choose another"
        ) from error
    return sequence
