"""Two lines of work for threads: searches, which somebody waits for, and uploads, which can wait a little.

Searches are taken first. So that a flood of searches does not stop uploads altogether, an upload that has stood for
`PATIENCE_SECONDS` is taken after the search before it; a search therefore never waits for two uploads in a row.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from threading import Condition, Lock, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 1.0


class Priority(IntEnum):
    """The line that work stands in."""

    SEARCH = 0
    UPLOAD = 1


@dataclass(eq=False)
class Job(Generic[T]):
    """Something to be done in a thread. A job whose future is cancelled before its turn is never begun."""

    work: T
    priority: Priority
    images: int = 1
    future: Future[Any] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Lines(Generic[T]):
    """Jobs in two lines, safe to use from many threads. Whoever looks at a line holds `changed`."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.closed = False
        self._lines: tuple[deque[Job[T]], deque[Job[T]]] = (deque(), deque())
        self._upload_last = False

    def add(self, job: Job[T]) -> None:
        """Put a job at the end of its line. Raises RuntimeError once closed."""
        with self.changed:
            if self.closed:
                raise RuntimeError("no work is taken after the shutdown")
            self._lines[job.priority].append(job)
            self.changed.notify()

    def next_line(self) -> deque[Job[T]] | None:
        """The line whose turn it is, without the jobs that nobody waits for any more; None if both are empty."""
        for line in self._lines:
            _drop_cancelled(line)
        searches, uploads = self._lines
        patient = uploads and time.perf_counter() - uploads[0].since < PATIENCE_SECONDS
        if searches and (not uploads or patient or self._upload_last):
            return searches
        return uploads or None

    def begin(self, jobs: Iterable[Job[T]]) -> list[Job[T]]:
        """Those of the jobs, taken off a line, that are still wanted; from now on they cannot be cancelled."""
        begun = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        if begun:
            self._upload_last = begun[0].priority == Priority.UPLOAD
        return begun

    def close(self) -> None:
        """Take no more jobs; those in line are still done."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class ThreadGroup:
    """Threads that start with the first work, so that a service that was only put together leaves none behind."""

    def __init__(self, targets: Iterable[tuple[Callable[[], None], str]]) -> None:
        self._threads = [Thread(target=target, name=name, daemon=True) for target, name in targets]
        self._started = False
        self._starting = Lock()

    def start(self) -> None:
        """Start them, once."""
        with self._starting:
            if not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()

    def join(self) -> None:
        """Wait until they have ended, if they were started."""
        with self._starting:
            if self._started:
                for thread in self._threads:
                    thread.join()


class LineThreads:
    """Threads that call functions, one at a time each, from two lines."""

    def __init__(self, threads: int, name: str) -> None:
        self._lines: Lines[Callable[[], Any]] = Lines()
        self._threads = ThreadGroup([(self._run, f"{name}-{number}") for number in range(threads)])

    def submit(self, call: Callable[[], T], priority: Priority) -> Future[T]:
        """Call it when its turn comes. Cancelling the future before then takes it out of the line."""
        job = Job(call, priority)
        self._lines.add(job)
        self._threads.start()
        return job.future

    def close(self) -> None:
        """Do what is in line and stop. Blocks; closing twice is harmless."""
        self._lines.close()
        self._threads.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.future.set_result(job.work())
            except BaseException as error:  # it is the caller's, who gets it through the future
                job.future.set_exception(error)
            # A waiting thread would keep the last image alive.
            del job

    def _next(self) -> Job[Callable[[], Any]] | None:
        with self._lines.changed:
            while True:
                line = self._lines.next_line()
                if line is not None:
                    for job in self._lines.begin([line.popleft()]):
                        return job
                elif self._lines.closed:
                    return None
                else:
                    self._lines.changed.wait()


def _drop_cancelled(line: deque[Job[T]]) -> None:
    if any(job.future.cancelled() for job in line):
        wanted = [job for job in line if not job.future.cancelled()]
        line.clear()
        line.extend(wanted)
