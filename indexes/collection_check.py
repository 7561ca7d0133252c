"""Whether the rows of a collection are sound and its index holds exactly their vectors.

Rows and index are compared key by key at one moment, while writes wait. All that takes long is done beside writes, on
the rows of that moment: SQLite's own check of its pages, and the vector of each key as the index has it against the one
that the rows have. A key never gets another vector, so that comparison holds however long it takes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.derived_index import DerivedIndex
from indexes.faiss_index import FaissIndex
from indexes.item_rows import ItemRows

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_DAMAGED = 0.01
"""A stored vector was checked to be of length 1 within a tenth of this."""

_CODING = 1e-3
"""By how much a lossy code may be further from its vector than one made now: coarse cells tie, and sums round."""


@dataclass(frozen=True)
class CheckReport:
    """What a check found. problems: one line each; empty if all is well."""

    items: int
    indexed: int
    sequence: int
    index_kind: str
    index_recall: dict[int, float]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def check(rows: ItemRows, index: DerivedIndex, *, follow: bool) -> CheckReport:
    """Read everything once and compare. follow: catch up with another process's writes first."""
    problems: list[str] = []
    index.read_through(again=True)
    with rows.database.reading() as connection:
        with index.changing:
            # The first read fixes what the connection sees: no write comes between it and the keys.
            index.refresh(connection, follow=follow)
            present, indexed, faiss_index = rows.keys(connection), index.keys(), index.in_use
            sequence = rows.sequence(connection)
        if index.unusable is not None and len(present):
            problems.append(f"index file: {index.unusable}; the next start builds it anew")
        missing, surplus = np.setdiff1d(present, indexed), np.setdiff1d(indexed, present)
        if len(missing):
            problems.append(f"index: {len(missing)} items are missing from it")
        if len(surplus):
            problems.append(f"index: it holds {len(surplus)} vectors without an item")
        problems.extend(f"database: {line}" for line in rows.damage(connection))
        damaged = 0
        for _, vectors in rows.vector_batches(connection):
            index.go_on()
            # Written so that a NaN counts as damaged.
            damaged += int((~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < _DAMAGED)).sum())
        if damaged:
            problems.append(
                f"database: {damaged} vectors are damaged (not of length 1); upsert their items again"
            )
        different = _different(rows, connection, index, faiss_index, np.intersect1d(present, indexed))
        if different:
            problems.append(
                f"index: {different} of its vectors are not those of the rows; `hdhe index rebuild` makes it anew"
            )
    if index.kind == "flat":
        with index.changing:
            recall = index.measure(follow=follow)
        if any(value < 1 for value in recall.values()):
            problems.append(
                "index: it is exact and misses neighbours all the same; `hdhe index rebuild` makes it anew"
            )
    else:
        recall = index.measure(follow=follow)
    return CheckReport(len(present), len(indexed), sequence, index.kind, recall, tuple(problems))


def _different(
    rows: ItemRows, connection: sqlite3.Connection, index: DerivedIndex, held: FaissIndex, keys: Keys
) -> int:
    """How many of the keys have another vector in the index than in the rows."""
    different, seen = _compare(rows, connection, index, held, keys)
    missed = np.setdiff1d(keys, seen)
    if len(missed):
        # Deleted by now, or moved by a deletion from one part to another between the reading of the two.
        with index.changing:
            different += _compare(rows, connection, index, held, np.intersect1d(missed, held.keys()))[0]
    return different


def _compare(
    rows: ItemRows, connection: sqlite3.Connection, index: DerivedIndex, held: FaissIndex, keys: Keys
) -> tuple[int, Keys]:
    """How many of the keys differ, and those that were come across."""
    different, seen, number = 0, [np.empty(0, np.int64)], 0
    while (stored := held.part(number)) is not None:
        index.go_on()
        number += 1
        wanted = np.isin(stored[0], keys)
        order = np.argsort(stored[0][wanted])
        here, vectors = stored[0][wanted][order], stored[1][wanted][order]
        seen.append(here)
        true = rows.vectors(connection, here)[1]
        if held.exact_scores:
            different += int((vectors != true).any(axis=1).sum())
        else:
            error = np.linalg.norm(vectors - true, axis=1)
            made_now = np.linalg.norm(held.coded(true) - true, axis=1)
            different += int((~(error <= made_now + _CODING)).sum())
    return different, np.concatenate(seen)
