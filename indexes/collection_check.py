"""Whether the rows of a collection are sound and its index agrees with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexes.derived_index import DerivedIndex
from indexes.item_rows import ItemRows

_DAMAGED = 0.01
"""A stored vector was checked to be of length 1 within a tenth of this."""


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
    """Read everything once and compare; writes wait meanwhile. follow: catch up with another process's writes first."""
    problems: list[str] = []
    with index.changing, rows.database.reading() as connection:
        index.refresh(connection, follow=follow)
        problems.extend(f"database: {line}" for line in rows.damage(connection))
        present, indexed = rows.keys(connection), index.keys()
        sequence = rows.sequence(connection)
        missing, surplus = np.setdiff1d(present, indexed), np.setdiff1d(indexed, present)
        if len(missing):
            problems.append(f"index: {len(missing)} items are missing from it")
        if len(surplus):
            problems.append(f"index: it holds {len(surplus)} vectors without an item")
        damaged = 0
        for _, vectors in rows.vector_batches(connection):
            # Written so that a NaN counts as damaged.
            damaged += int((~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < _DAMAGED)).sum())
        if damaged:
            problems.append(
                f"database: {damaged} vectors are damaged (not of length 1); upsert their items again"
            )
        recall = index.measure()
    if index.kind == "flat" and any(value < 1 for value in recall.values()):
        problems.append(
            "index: it is exact and misses neighbours all the same; delete index.faiss to rebuild it"
        )
    return CheckReport(len(present), len(indexed), sequence, index.kind, recall, tuple(problems))
