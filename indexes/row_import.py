"""Items of another collection as the rows of a new one, under the sequence numbers that they have there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from indexes.collection import Item
from indexes.item_rows import DATABASE_NAME, ItemRows
from indexes.vector_rows import Vectors


@dataclass(frozen=True)
class WholeItem:
    """An item with its vector float32[d], its thumbnail, and the digest of its source; the last two empty: none."""

    item: Item
    vector: Vectors
    thumbnail: bytes
    source: bytes


def write_rows(
    folder: Path,
    batches: Iterable[list[WholeItem]],
    *,
    embedding_size: int,
    model_fingerprint: str,
    sequence: int,
) -> None:
    """Make the rows of a collection in an empty folder, a transaction for each batch. sequence: its clock.

    Of two items of one number the later gets the next that is free. Raises CollectionError, StorageError.
    """
    rows = ItemRows.create(
        folder / DATABASE_NAME,
        embedding_size=embedding_size,
        model_fingerprint=model_fingerprint,
        index="auto",
    )
    try:
        for batch in batches:
            with rows.database.writing() as connection:
                for each in batch:
                    number = each.item.sequence
                    while connection.execute("SELECT 1 FROM items WHERE sequence = ?", [number]).fetchone():
                        number += 1
                    sequence = max(sequence, number)
                    attributes = json.dumps(dict(each.item.attributes), ensure_ascii=False)
                    connection.execute(
                        "INSERT INTO items VALUES (?, ?, ?, ?)",
                        [number, each.item.id, each.item.label, attributes],
                    )
                    connection.execute("INSERT INTO vectors VALUES (?, ?)", [number, each.vector.tobytes()])
                    if each.thumbnail:
                        connection.execute("INSERT INTO thumbnails VALUES (?, ?)", [number, each.thumbnail])
                    if each.source:
                        connection.execute("INSERT INTO sources VALUES (?, ?)", [number, each.source])
        with rows.database.writing() as connection:
            connection.execute("UPDATE clock SET sequence = ?", [sequence])
    finally:
        rows.database.close()
