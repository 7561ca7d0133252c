"""The vectors of a collection's rows, one by one and in batches."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.errors import StorageError

Vectors = NDArray[np.float32]
Keys = NDArray[np.int64]

BATCH = 4096
"""Vectors that are held at a time while many are read."""


class VectorRows:
    """Every function takes the connection of one read transaction, so that its caller can join several."""

    def __init__(self, path: Path, embedding_size: int) -> None:
        self._path = path
        self._embedding_size = embedding_size

    def of(self, connection: sqlite3.Connection, keys: Keys) -> tuple[Keys, Vectors]:
        """Vectors float32[m, d] of those keys that are there, with their keys int64[m], ascending."""
        wanted = "SELECT value FROM json_each(?)"
        query = f"SELECT sequence, vector FROM vectors WHERE sequence IN ({wanted}) ORDER BY sequence"
        return self._stack(connection.execute(query, [json.dumps(keys.tolist())]).fetchall())

    def batches(self, connection: sqlite3.Connection) -> Iterator[tuple[Keys, Vectors]]:
        """Keys int64[m] and vectors float32[m, d] of all items, m <= BATCH at a time, in the order of their keys."""
        cursor = connection.execute("SELECT sequence, vector FROM vectors ORDER BY sequence")
        while rows := cursor.fetchmany(BATCH):
            yield self._stack(rows)

    def labelled(self, connection: sqlite3.Connection) -> tuple[Vectors, list[str]]:
        """Vectors float32[n, d] and labels of the items with a label, in the order of their keys."""
        n = connection.execute("SELECT COUNT(label) FROM items").fetchone()[0]
        vectors = np.empty((n, self._embedding_size), dtype=np.float32)
        labels: list[str] = []
        query = (
            "SELECT sequence, vector, label FROM items JOIN vectors USING (sequence) "
            "WHERE label IS NOT NULL ORDER BY sequence"
        )
        cursor = connection.execute(query)
        while rows := cursor.fetchmany(BATCH):
            vectors[len(labels) : len(labels) + len(rows)] = self._stack([row[:2] for row in rows])[1]
            labels.extend(label for _, _, label in rows)
        return vectors, labels

    def _stack(self, rows: Sequence[tuple[int, bytes]]) -> tuple[Keys, Vectors]:
        d = self._embedding_size
        joined = b"".join(vector for _, vector in rows)
        if len(joined) != len(rows) * d * 4:
            raise StorageError(f"{self._path}: it is damaged (a vector of another size); restore a snapshot")
        keys = np.fromiter((key for key, _ in rows), dtype=np.int64, count=len(rows))
        return keys, np.frombuffer(joined, dtype=np.float32).reshape(len(rows), d)
