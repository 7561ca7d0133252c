"""A few threads for calls that block, with a bound on how many calls may wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from service.problems import OverloadedError

P = ParamSpec("P")
T = TypeVar("T")


class BoundedThreads:
    """To be used from one event loop. most_waiting: calls that are accepted beyond those that are running."""

    def __init__(self, threads: int, name: str, most_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + most_waiting
        self._accepted = 0

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the call returns. Raises OverloadedError if too many wait already."""
        if self._accepted >= self._most:
            raise OverloadedError
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))
        self._accepted += 1
        # Also called when who asked leaves, though a call that has begun goes on: there are only so many threads.
        running.add_done_callback(self._over)
        return await running

    def close(self) -> None:
        """Finish what was accepted and stop. Blocks."""
        self._threads.shutdown()

    def _over(self, _: asyncio.Future[T]) -> None:
        self._accepted -= 1
