"""What a collection in Milvus holds, in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Item
from indexes.errors import StorageError
from indexes.filters import Filter
from indexes.item_rows import unknown
from indexes.milvus.beside import Beside, joined_thumbnail, thumbnail_keys
from indexes.milvus.connection import Connection, Row
from indexes.milvus.expressions import NO_LABEL, expression, holdable, one_of, text_literal
from indexes.milvus.scan import scan
from indexes.milvus.schema import ITEM_FIELDS, LOTS, item_of, items_of

Vectors = NDArray[np.float32]

_IDS_A_REQUEST = 1000
_REQUEST_BYTES = 16 << 20
_ATTEMPTS = 3
_LABELLED = f"label != {text_literal(NO_LABEL)}"

SAMPLED_AMONG = 16_384
"""A sample is spread evenly over the writes of so many items, who are drawn by lot where there are more."""


class Reading:
    """Safe for many threads."""

    def __init__(self, connection: Connection, beside: Beside, embedding_size: int) -> None:
        self._connection = connection
        self._beside = beside
        self._embedding_size = embedding_size
        self._items = items_of(connection.settings.collection)

    def get(self, ids: Sequence[str]) -> list[Item | None]:
        """See Collection."""
        found = {id: item_of(row) for id, row in self._rows(ids, ITEM_FIELDS, _IDS_A_REQUEST).items()}
        return [found.get(id) for id in ids]

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """See Collection."""
        step = max(1, min(_IDS_A_REQUEST, _REQUEST_BYTES // (4 * self._embedding_size)))
        rows = self._rows(ids, ("id", "vector"), step)
        missing = next((id for id in ids if id not in rows), None)
        if missing is not None:
            raise unknown(missing)
        return np.stack([rows[id]["vector"] for id in ids]) if ids else self._none()

    def thumbnail(self, id: str) -> bytes | None:
        """See Collection."""
        for _ in range(_ATTEMPTS):
            row = self._rows([id], ("id", "sequence", "pieces"), 1).get(id)
            if row is None:
                raise unknown(id)
            keys = thumbnail_keys(id, int(row["sequence"]), int(row["pieces"]))
            image = joined_thumbnail(keys, self._beside.get(keys))
            if image is not None:
                return image or None
            # A piece is missing: since it was looked up, the item has been written again.
        raise StorageError(f"item {id!a}: a part of its thumbnail is missing; upsert it again")

    def page(self, after: str | None, limit: int, filter: Filter | None) -> list[Item]:
        """See Collection."""
        pages = scan(
            self._connection, self._items, expression(filter), ITEM_FIELDS, after=after or "", limit=limit
        )
        return [item_of(row) for rows in pages for row in rows]

    def count(self, filter: Filter | None = None) -> int:
        """See Collection."""
        condition = expression(filter)
        if condition is False:
            return 0
        return self._connection.count(self._items, "" if condition is True else str(condition))

    def sample(self, count: int) -> tuple[list[str], Vectors]:
        """Ids and vectors float32[m, d] of some items, m <= count, spread over the order of their writes."""
        items = self.count()
        drawn = True if items <= SAMPLED_AMONG else f"lot < {max(1, LOTS * SAMPLED_AMONG // items)}"
        rows = [
            (int(row["sequence"]), str(row["id"]))
            for rows in scan(self._connection, self._items, drawn, ("id", "sequence"), row_bytes=128)
            for row in rows
        ]
        rows.sort()
        ids = [id for _, id in rows[:: max(1, -(-len(rows) // count))]]
        step = max(1, min(_IDS_A_REQUEST, _REQUEST_BYTES // (4 * self._embedding_size)))
        found = self._rows(ids, ("id", "vector"), step)
        there = [id for id in ids if id in found]
        return there, np.stack([found[id]["vector"] for id in there]) if there else self._none()

    def labelled(self) -> tuple[Vectors, list[str]]:
        """Vectors float32[n, d] and labels of the items with a label."""
        vectors = np.empty((self._connection.count(self._items, _LABELLED), self._embedding_size), np.float32)
        labels: list[str] = []
        pages = scan(
            self._connection,
            self._items,
            _LABELLED,
            ("id", "label", "vector"),
            row_bytes=4 * self._embedding_size + 128,
        )
        for rows in pages:
            if len(labels) + len(rows) > len(vectors):
                # Written since they were counted.
                vectors = np.concatenate(
                    [vectors[: len(labels)], np.empty((len(rows), self._embedding_size), np.float32)]
                )
            vectors[len(labels) : len(labels) + len(rows)] = [row["vector"] for row in rows]
            labels += [row["label"] for row in rows]
        return vectors[: len(labels)], labels

    def labels(self) -> set[str]:
        """All there are; reads the label of every item."""
        pages = scan(self._connection, self._items, _LABELLED, ("id", "label"), row_bytes=128)
        return {str(row["label"]) for rows in pages for row in rows}

    def last_sequence(self, after: int) -> int:
        """The greatest of an item, if it is greater than this."""
        pages = scan(self._connection, self._items, f"sequence > {after}", ("id", "sequence"), row_bytes=128)
        return max((int(row["sequence"]) for rows in pages for row in rows), default=after)

    def _rows(self, ids: Sequence[str], fields: Sequence[str], step: int) -> dict[str, Row]:
        wanted, rows = holdable(dict.fromkeys(ids)), dict[str, Row]()
        for start in range(0, len(wanted), step):
            part = one_of("id", wanted[start : start + step])
            if isinstance(part, str):
                rows |= {row["id"]: row for row in self._connection.query(self._items, part, fields)}
        return rows

    def _none(self) -> Vectors:
        return np.empty((0, self._embedding_size), np.float32)
