"""A copy of a collection in Milvus as one in a folder, which opens without Milvus.

It is what `snapshot` means here: every item with its number, its thumbnail and the digest of its source, as of one
moment, and an index over them. The names of writes stay behind. Milvus has copies of its own for what does not fit one
machine (milvus-backup).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from indexes.local_collection import LocalCollection
from indexes.milvus.beside import Beside, joined_thumbnail, thumbnail_keys
from indexes.milvus.connection import Connection
from indexes.milvus.scan import scan
from indexes.milvus.schema import ITEM_FIELDS, item_of, items_of
from indexes.row_import import WholeItem, write_rows

logger = logging.getLogger(__name__)

_THUMBNAIL_BYTES = 32 << 10


def write_export(
    folder: Path,
    connection: Connection,
    beside: Beside,
    *,
    embedding_size: int,
    model_fingerprint: str,
    sequence: int,
) -> None:
    """Write it to an empty folder that is there. sequence: the write it is of. Raises CollectionError, StorageError."""
    write_rows(
        folder,
        _batches(connection, beside, embedding_size),
        embedding_size=embedding_size,
        model_fingerprint=model_fingerprint,
        sequence=sequence,
    )
    # Opened once, it builds its index and saves it.
    LocalCollection.open(folder).close()
    (folder / "lock").unlink(missing_ok=True)


def _batches(connection: Connection, beside: Beside, embedding_size: int) -> Iterator[list[WholeItem]]:
    pages = scan(
        connection,
        items_of(connection.settings.collection),
        True,
        (*ITEM_FIELDS, "vector", "source", "pieces"),
        row_bytes=4 * embedding_size + _THUMBNAIL_BYTES,
    )
    for rows in pages:
        keys = {
            row["id"]: thumbnail_keys(row["id"], int(row["sequence"]), int(row["pieces"])) for row in rows
        }
        found = beside.get([key for each in keys.values() for key in each])
        batch: list[WholeItem] = []
        for row in rows:
            thumbnail = joined_thumbnail(keys[row["id"]], found)
            if thumbnail is None:
                logger.warning(
                    "%s: its thumbnail is not in the copy, because it was written again meanwhile",
                    ascii(row["id"]),
                )
            batch.append(
                WholeItem(item_of(row), row["vector"], thumbnail or b"", bytes.fromhex(row["source"]))
            )
        yield batch
