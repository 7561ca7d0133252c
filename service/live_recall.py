"""Recall@K of the collection as it is now, computed beside the requests and kept until the next write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from indexes.collection import Collection

if TYPE_CHECKING:
    from retrieval.recall import RecallReport

KEPT_ANSWERS = 8
"""Different lists of K that are remembered for one state of the collection."""

Ks = tuple[int, ...]


@dataclass(frozen=True)
class LiveReport:
    """Leave-one-out over the labelled items. scores: None if no label has two items. sequence: the write it is of."""

    scores: RecallReport | None
    queries: int
    sequence: int
    computed_at: datetime


class LiveRecall:
    """Leave-one-out recall over the labelled items, one computation at a time, cached by the sequence number."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recall")
        self._kept: dict[Ks, LiveReport] = {}
        self._running: dict[Ks, asyncio.Future[LiveReport]] = {}

    @property
    def latest(self) -> LiveReport | None:
        """What was computed last, of whatever K and however old."""
        return next(reversed(self._kept.values()), None)

    async def report(self, ks: Sequence[int], *, sequence: int) -> LiveReport:
        """The recall at these K of a state of the collection no older than the start of the computation.

        sequence: the collection's present number; a kept answer is given only if it is of this number. Those who
        ask while the same K are being computed share that computation.
        """
        key = tuple(ks)
        kept = self._kept.get(key)
        if kept is not None and kept.sequence == sequence:
            return kept
        if key not in self._running:
            running = asyncio.get_running_loop().run_in_executor(self._thread, self._compute, key)
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        # Shielded: one client that leaves must not cancel what others wait for.
        computed = await asyncio.shield(self._running[key])
        self._keep(key, computed)
        return computed

    def close(self) -> None:
        """Finish the running computation and stop the thread. Blocks."""
        self._thread.shutdown(cancel_futures=True)

    def _keep(self, key: Ks, computed: LiveReport) -> None:
        self._kept = {
            k: kept for k, kept in self._kept.items() if kept.sequence == computed.sequence and k != key
        }
        while len(self._kept) >= KEPT_ANSWERS:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = computed

    def _compute(self, ks: Ks) -> LiveReport:
        # Imported here: it brings torch, which the routes do without.
        from retrieval.recall import leave_one_out

        vectors, labels, sequence = self._collection.labelled()
        numbers: dict[str, int] = {}
        classes = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
        scores = None
        if len(numbers) < len(labels):
            # Among the n - 1 others nothing is left to find beyond K = n - 1, and the function refuses to look.
            scores = leave_one_out(vectors, classes, sorted({min(k, len(labels) - 1) for k in ks}))
        return LiveReport(scores, len(labels), sequence, datetime.now(UTC))
