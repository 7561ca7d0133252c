"""Run a function over items in threads, some way ahead of the consumer, and hand out the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

THREADS = 2
"""Pillow releases the interpreter lock while it decodes, so two threads keep an engine busy on small machines."""


def read_ahead(
    function: Callable[[S], T], items: Iterable[S], *, ahead: int
) -> Iterator[tuple[S, Future[T]]]:
    """Yield each item with its finished future (`.result()` gives the value or raises), in the order of `items`.

    At most `ahead` results exist at a time, which bounds the memory; when the consumer stops, the rest is cancelled.
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="read-ahead") as pool:
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
