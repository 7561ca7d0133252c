"""Threads for calls that block."""

from __future__ import annotations

import asyncio
import threading

import pytest

from service.problems import OverloadedError
from service.scheduling.bounded_threads import BoundedThreads


def test_more_calls_than_may_wait_are_refused_and_later_ones_are_not() -> None:
    threads, free = BoundedThreads(1, "test", most_waiting=2), threading.Event()

    async def run() -> None:
        calls = [asyncio.create_task(threads.run(free.wait, 10)) for _ in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError):
            await threads.run(free.wait, 10)
        calls[2].cancel()
        await asyncio.sleep(0.01)
        calls[2] = asyncio.create_task(threads.run(free.wait, 10))
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError):
            await threads.run(free.wait, 10)
        free.set()
        assert await asyncio.gather(*calls) == [True] * 3
        assert await threads.run(len, "four") == 4

    asyncio.run(run())
    threads.close()


def test_a_call_that_raises_gives_its_place_back() -> None:
    threads = BoundedThreads(1, "test", most_waiting=1)

    async def run() -> None:
        for _ in range(5):
            with pytest.raises(ValueError, match="invalid literal"):
                await threads.run(int, "x")

    asyncio.run(run())
    threads.close()
