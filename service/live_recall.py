"""Recall@K of the collection as it is now, computed beside the requests; they are answered with the latest there is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from indexes.collection import Collection
from service.problems import ProblemError

if TYPE_CHECKING:
    from retrieval.recall import RecallReport

logger = logging.getLogger(__name__)

FIRST_SECONDS = 10.0
"""How long a request waits where nothing has been computed yet."""

REST = 4.0
"""After a computation, this many times what it took passes before the next: it takes at most a fifth of the time."""


class StoppedError(Exception):
    """The computation was given up because the service stops."""


@dataclass(frozen=True)
class LiveReport:
    """Leave-one-out over the labelled items. scores: None if no label has two items. sequence: the write it is of."""

    scores: RecallReport | None
    queries: int
    sequence: int
    computed_at: datetime

    def recall(self, ks: Sequence[int]) -> dict[int, float | None]:
        """{K: Recall@K}; None, not 0, where no query has a positive."""
        if self.scores is None:
            return dict.fromkeys(ks)
        # Among the n - 1 others nothing is left to find beyond K = n - 1.
        return {k: self.scores.recall[min(k, self.queries - 1)] for k in ks}

    @property
    def age_seconds(self) -> float:
        """Since it was computed."""
        return (datetime.now(UTC) - self.computed_at).total_seconds()


class LiveRecall:
    """Leave-one-out recall over the labelled items: one computation at a time, and one for every K."""

    def __init__(self, collection: Collection, *, most: int) -> None:
        """most: the greatest K that is asked for."""
        self._collection = collection
        self._ks = range(1, most + 1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recall")
        self._stop = Event()
        self._running: asyncio.Future[None] | None = None
        self._rests_until = 0.0
        self.latest: LiveReport | None = None
        """What was computed last; None before."""

    async def report(self, *, sequence: int) -> LiveReport:
        """The latest; if it is not of this write, the collection's present number, a new one is begun.

        Only who asks before anything was computed waits. Raises ProblemError 503 if that takes long, StorageError.
        """
        if self.latest is not None and self.latest.sequence == sequence:
            return self.latest
        if self._running is None and time.monotonic() >= self._rests_until:
            self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._compute)
            self._running.add_done_callback(self._over)
        if self.latest is None:
            await self._first()
        assert self.latest is not None
        return self.latest

    def close(self) -> None:
        """Give up what is being computed and stop the thread. Blocks until the next of the queries, about a second."""
        self._stop.set()
        self._thread.shutdown(cancel_futures=True)

    async def _first(self) -> None:
        pending = ProblemError(
            503,
            "recall-pending",
            "The recall is being computed",
            "The recall of this collection is being computed for the first time; ask again in a moment.",
        )
        if self._running is None:
            raise pending
        try:
            # Shielded: one client that leaves must not cancel what others wait for.
            await asyncio.wait_for(asyncio.shield(self._running), FIRST_SECONDS)
        except (TimeoutError, StoppedError):
            raise pending from None

    def _over(self, done: asyncio.Future[None]) -> None:
        self._running = None
        error = None if done.cancelled() else done.exception()
        if error is not None and not isinstance(error, StoppedError):
            logger.error("the recall could not be computed: %s", error, exc_info=error)

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _compute(self) -> None:
        # Imported here: it brings torch, which the routes do without.
        from retrieval.recall import leave_one_out

        started = time.monotonic()
        try:
            vectors, labels, sequence = self._collection.labelled()
            numbers: dict[str, int] = {}
            classes = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
            scores = None
            if len(numbers) < len(labels):
                # All K at once: they cost next to nothing, and nobody has to wait because they ask for another.
                ks = [k for k in self._ks if k < len(labels)]
                scores = leave_one_out(vectors, classes, ks, go_on=self._go_on)
            self.latest = LiveReport(scores, len(labels), sequence, datetime.now(UTC))
        finally:
            ended = time.monotonic()
            self._rests_until = ended + REST * (ended - started)
