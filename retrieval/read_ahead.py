"""Run a function over items in threads, some way ahead of the consumer, and hand out the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

FEWEST_THREADS, MOST_THREADS = 2, 16


def threads() -> int:
    """As many as the other pools have (HDHE_THREADS, else the processors this process may use), within bounds.

    Pillow releases the interpreter lock while it decodes, so that many threads keep a fast engine busy. Two even on one
    core, where one of them may wait for the disk.
    """
    asked = os.environ.get("HDHE_THREADS", "")
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(int(asked) if asked.isdecimal() else there, FEWEST_THREADS), MOST_THREADS)


def read_ahead(
    function: Callable[[S], T], items: Iterable[S], *, ahead: int
) -> Iterator[tuple[S, Future[T]]]:
    """Yield each item with its finished future (`.result()` gives the value or raises), in the order of `items`.

    At most `ahead` results exist at a time, which bounds the memory; when the consumer stops, the rest is cancelled.
    """
    with ThreadPoolExecutor(threads(), thread_name_prefix="read-ahead") as pool:
        source = iter(items)
        waiting: deque[tuple[S, Future[T]]] = deque()
        try:
            while True:
                waiting.extend(
                    (item, pool.submit(function, item)) for item in islice(source, ahead - len(waiting))
                )
                if not waiting:
                    return
                item, future = waiting.popleft()
                future.exception()  # waits; the consumer decides what an error means
                yield item, future
        finally:
            for _, future in waiting:
                future.cancel()
