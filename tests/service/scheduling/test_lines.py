"""Two lines of work for threads."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from service.scheduling.lines import Job, Lines, LineThreads, Priority

SEARCH, UPLOAD = Priority.SEARCH, Priority.UPLOAD


def served(lines: Lines[str]) -> str | None:
    """Take the next job, as a thread does, and say whose it was."""
    with lines.changed:
        line = lines.next_line()
        if line is None:
            return None
        (job,) = lines.begin([line.popleft()])
        return job.work


def test_searches_are_served_first_and_each_line_in_order() -> None:
    lines: Lines[str] = Lines()
    for work, priority in [("u1", UPLOAD), ("s1", SEARCH), ("u2", UPLOAD), ("s2", SEARCH)]:
        lines.add(Job(work, priority))
    assert [served(lines) for _ in range(5)] == ["s1", "s2", "u1", "u2", None]


def test_an_upload_that_has_waited_long_takes_every_other_turn() -> None:
    lines: Lines[str] = Lines()
    long_ago = time.perf_counter() - 2
    for number in range(3):
        lines.add(Job(f"u{number}", UPLOAD, since=long_ago))
        lines.add(Job(f"s{number}", SEARCH))
    # Never two uploads in a row while a search is there.
    assert [served(lines) for _ in range(6)] == ["u0", "s0", "u1", "s1", "u2", "s2"]


def test_a_cancelled_job_is_never_begun() -> None:
    lines: Lines[str] = Lines()
    jobs = [Job(f"s{number}", SEARCH) for number in range(3)]
    for job in jobs:
        lines.add(job)
    assert jobs[0].future.cancel()
    assert jobs[1].future.cancel()
    assert served(lines) == "s2"
    assert not jobs[2].future.cancel()
    assert served(lines) is None


def test_after_closing_nothing_is_taken_and_the_rest_is_done() -> None:
    threads = LineThreads(2, "test")
    free = threading.Event()
    running = [threads.submit(lambda: free.wait(10), SEARCH) for _ in range(2)]
    waiting = [threads.submit(lambda n=n: n, UPLOAD) for n in range(5)]  # type: ignore[misc]  # a default of a lambda
    closing = threading.Thread(target=threads.close)
    closing.start()
    while not threads._lines.closed:
        time.sleep(0.001)
    with pytest.raises(RuntimeError, match="shutdown"):
        threads.submit(lambda: None, SEARCH)
    free.set()
    closing.join(10)
    assert all(job.result(0) for job in running)
    assert [job.result(0) for job in waiting] == list(range(5))
    threads.close()


def test_no_thread_is_started_for_nothing() -> None:
    before = threading.active_count()
    threads = LineThreads(3, "test")
    assert threading.active_count() == before
    threads.close()


def test_what_a_call_raises_is_its_callers() -> None:
    threads = LineThreads(1, "test")

    def fail() -> None:
        raise ValueError("mine")

    failed, after = threads.submit(fail, SEARCH), threads.submit(lambda: "fine", SEARCH)
    with pytest.raises(ValueError, match="mine"):
        failed.result(10)
    assert after.result(10) == "fine"
    threads.close()


def test_many_callers_get_their_own_results() -> None:
    threads = LineThreads(3, "test")
    wrong: list[int] = []

    def ask(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(100):
            number = draw.randrange(10**9)
            call: Callable[[], int] = lambda number=number: number + 1  # type: ignore[misc]  # noqa: E731
            job = threads.submit(call, draw.choice([SEARCH, UPLOAD]))
            if draw.random() < 0.2 and job.cancel():
                continue
            if job.result(10) != number + 1:
                wrong.append(number)

    callers = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    threads.close()
    assert wrong == []
