"""Giving back what deleted and replaced items have left: free pages of the database, removed vectors of the index."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from indexes.collection_stats import bytes_on_disk
from indexes.derived_index import DerivedIndex
from indexes.errors import StorageError
from indexes.item_rows import ItemRows

_COPIES = 2
"""SQLite writes the rows to a temporary file, and from there to its log."""


@dataclass(frozen=True)
class Compacted:
    """Bytes of database, log and index file, before and after."""

    bytes_before: int
    bytes_after: int


def compact(folder: Path, rows: ItemRows, index: DerivedIndex) -> Compacted:
    """Rewrite the database without its gaps and save an index without removed vectors; searches go on, writes wait.

    Killed halfway, or refused by the disk, it leaves everything as it was. Raises StorageError, and before it begins if
    the disk has less than twice the room that the rows take.
    """
    before = bytes_on_disk(folder)
    # A graph is built anew for this, which takes long and holds up nobody.
    index.forget_removed()
    with index.changing:
        needed, free = _COPIES * rows.database.live_bytes(), shutil.disk_usage(folder).free
        if free < needed:
            raise StorageError(
                f"{folder}: compacting needs {needed >> 20:,} MiB of free space and {free >> 20:,} MiB are there; "
                "free some and try again"
            )
        rows.database.compact()
    index.save()
    return Compacted(before, bytes_on_disk(folder))
