"""Places for images: how many may be under way at a time. Who finds none is told at once when to come again.

A bound on images bounds both what waits in memory and how long the last in line waits. Searches and uploads have
places of their own, so that no upload is the reason for which a search is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.problems import OverloadedError
from service.scheduling.lines import Priority

MOST_RETRY_SECONDS = 60


class Places:
    """Counts the images under way, in the event loop's thread. seconds_an_image: how long one takes, so far."""

    def __init__(self, *, searches: int, uploads: int, seconds_an_image: Callable[[], float]) -> None:
        self._most = {Priority.SEARCH: searches, Priority.UPLOAD: uploads}
        self._taken = {Priority.SEARCH: 0, Priority.UPLOAD: 0}
        self._seconds_an_image = seconds_an_image

    @property
    def taken(self) -> int:
        """Images under way: accepted, and not yet answered."""
        return sum(self._taken.values())

    def full(self, priority: Priority) -> bool:
        """Whether not even one more image would be accepted."""
        return self._taken[priority] >= self._most[priority]

    @contextmanager
    def take(self, priority: Priority, images: int = 1) -> Iterator[None]:
        """Places for so many images, given back at the end of the block. Raises OverloadedError.

        Where nobody is before it, a request is accepted whatever its size: it could never be otherwise.
        """
        taken = self._taken[priority]
        if taken and taken + images > self._most[priority]:
            raise self.refusal()
        self._taken[priority] += images
        try:
            yield
        finally:
            self._taken[priority] -= images

    def refusal(self) -> OverloadedError:
        """The answer to who finds no place."""
        seconds = math.ceil(self.taken * self._seconds_an_image())
        return OverloadedError(min(max(seconds, 1), MOST_RETRY_SECONDS))
