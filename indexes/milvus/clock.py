"""The numbers of writes where no table counts them: microseconds since 1970, but never the same or a smaller one twice.

Milvus neither numbers writes for its clients nor finds a maximum, and services on several machines may write to one
collection. A number that is taken from the time needs nobody to be asked; it is one more than the last one known
wherever the time is not ahead of that. What the last one was, each writing process leaves in a row of its own after
each write, when the items are there: whoever reads a number there finds at least the items of that write.
"""

from __future__ import annotations

import time
import uuid
from threading import Lock

from indexes.milvus.beside import Beside, Note


class Clock:
    """Counts the writes of this process, and knows those of the others once they are read."""

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        self._row = uuid.uuid4().hex
        self._lock = Lock()
        self._last = 0

    def take(self, count: int) -> int:
        """The first of `count` numbers that follow each other and that no earlier write has."""
        with self._lock:
            first = max(self._last + 1, time.time_ns() // 1000)
            self._last = first + count - 1
            return first

    def note(self, sequence: int) -> Note:
        """What is to be put beside the items once the write of this number is done."""
        return Note("clock", (self._row,), number=sequence)

    def read(self) -> int:
        """The number of the last write of any process."""
        latest = max((number for _, _, number in self._beside.of_kind("clock")), default=0)
        self.see(latest)
        return latest

    def see(self, sequence: int) -> None:
        """Another's number, which the next one has to be behind."""
        with self._lock:
            self._last = max(self._last, sequence)

    def tidy(self, latest: int) -> None:
        """Remove the rows of processes that are gone; one that is not leaves its row again at its next write."""
        self._beside.delete_before("clock", latest)
