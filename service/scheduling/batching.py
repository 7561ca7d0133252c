"""Prepared images of many requests, gathered into batches for the one thread that runs the network.

One thread, because a batch already spreads over all cores, and a second one at the same time would only make both
slower. It takes what stands in line when it gets free, so that batches grow by themselves under load. When it is free
already, it waits for more only while more images are being decoded, and not longer than a small delay: a client that
is alone never waits for company.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.scheduling.lines import Job, Lines, Priority, ThreadGroup

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8[n, p, p, 3] -> float32[n, d]."""

_SMOOTHING = 0.2
"""Weight of the newest batch in the running mean of the time that an image takes."""


@dataclass(frozen=True)
class Embedded:
    """vectors: float32[n, d], L2-normalised. Times in milliseconds; wait is the time in line for the network, embed
    that of the batch, whoever else was in it. batch: images in it.
    """

    vectors: NDArray[np.float32]
    wait_ms: float
    embed_ms: float
    batch: int


@dataclass(frozen=True)
class _Images:
    """What one request wants embedded at once. pixels: of n images, each uint8[p, p, 3]."""

    network: Network
    pixels: Sequence[NDArray[np.uint8]]


_Line = deque[Job[_Images]]


class Batcher:
    """Embeds images in batches of at most so many, searches before uploads (see `service.scheduling.lines`).

    search_batch, upload_batch: images in a batch. A search waits for one batch of uploads at the most, so theirs is
    the smaller one. delay: seconds that the free network waits for images that are being decoded.
    """

    def __init__(self, *, search_batch: int, upload_batch: int, delay: float) -> None:
        self._most = {Priority.SEARCH: search_batch, Priority.UPLOAD: upload_batch}
        self._delay = delay
        self._lines: Lines[_Images] = Lines()
        self._coming = {Priority.SEARCH: 0, Priority.UPLOAD: 0}
        self.seconds_an_image = 0.0
        """A running mean; 0 before the first batch."""
        self._thread = ThreadGroup([(self._run, "embed")])

    @contextmanager
    def coming(self, priority: Priority) -> Iterator[None]:
        """Around the decoding of an image that will be submitted next: a batch may wait for it."""
        with self._lines.changed:
            self._coming[priority] += 1
        try:
            yield
        finally:
            with self._lines.changed:
                self._coming[priority] -= 1

    def submit(
        self, network: Network, pixels: Sequence[NDArray[np.uint8]], priority: Priority
    ) -> Future[Embedded]:
        """Embed n >= 1 images, each uint8[p, p, 3], in one batch, alone or with those of others that go through the
        same network. Cancelling the future before its batch begins takes them out of the line.
        """
        job = Job(_Images(network, pixels), priority, images=len(pixels))
        self._lines.add(job)
        self._thread.start()
        return job.future

    def close(self) -> None:
        """Embed what is in line and stop. Blocks; closing twice is harmless."""
        self._lines.close()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._embed(batch)
            # The thread waits for the next batch without keeping this one alive.
            del batch

    def _next_batch(self) -> list[Job[_Images]]:
        """The next jobs that fit one batch; none once closed and done."""
        with self._lines.changed:
            while True:
                line = self._lines.next_line()
                if line is None:
                    if self._lines.closed:
                        return []
                    self._lines.changed.wait()
                    continue
                patience = self._patience(line)
                if patience > 0:
                    self._lines.changed.wait(patience)
                elif batch := self._lines.begin(self._take(line)):
                    return batch

    def _patience(self, line: _Line) -> float:
        """Seconds that are left for others to join the first of this line."""
        priority = line[0].priority
        full = sum(job.images for job in line) >= self._most[priority]
        if full or self._lines.closed or self._coming[priority] == 0:
            return 0
        return line[0].since + self._delay - time.perf_counter()

    def _take(self, line: _Line) -> list[Job[_Images]]:
        """Off the line: its first job, and those behind it that go through the same network and fit."""
        batch = [line.popleft()]
        room = self._most[batch[0].priority] - batch[0].images
        while line and line[0].work.network == batch[0].work.network and line[0].images <= room:
            room -= line[0].images
            batch.append(line.popleft())
        return batch

    def _embed(self, batch: list[Job[_Images]]) -> None:
        started = time.perf_counter()
        try:
            vectors = batch[0].work.network(np.stack([pixels for job in batch for pixels in job.work.pixels]))
        except BaseException as error:  # it belongs to the requests, which get it through their futures
            for job in batch:
                job.future.set_exception(error)
            return
        ended = time.perf_counter()
        each = (ended - started) / len(vectors)
        known = self.seconds_an_image
        self.seconds_an_image = each if known == 0 else known + _SMOOTHING * (each - known)
        row = 0
        for job in batch:
            own = vectors[row : row + job.images]
            row += job.images
            job.future.set_result(
                Embedded(own, milliseconds(job.since, started), milliseconds(started, ended), len(vectors))
            )


def milliseconds(start: float, end: float) -> float:
    """Between two readings of `time.perf_counter`, rounded to a microsecond."""
    return round((end - start) * 1000, 3)
