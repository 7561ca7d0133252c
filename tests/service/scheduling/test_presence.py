"""Work for a client who may leave."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from service.scheduling.presence import while_present


def request(leaving: asyncio.Event) -> Request:
    async def receive() -> Message:
        await leaving.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def test_who_stays_gets_the_result_and_who_fails_the_error() -> None:
    async def run() -> None:
        async def work() -> int:
            await asyncio.sleep(0)
            return 7

        async def fail() -> int:
            raise ValueError("mine")

        staying = request(asyncio.Event())
        assert await while_present(staying, work()) == 7
        with pytest.raises(ValueError, match="mine"):
            await while_present(staying, fail())
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_the_work_of_who_leaves_is_cancelled_and_cleaned_up() -> None:
    async def run() -> None:
        leaving, clean = asyncio.Event(), False

        async def work() -> None:
            nonlocal clean
            try:
                leaving.set()
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                clean = True

        with pytest.raises(ClientDisconnect):
            await while_present(request(leaving), work())
        assert clean
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_being_cancelled_cancels_the_work() -> None:
    async def run() -> None:
        cancelled = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await while_present(request(asyncio.Event()), work())
        assert cancelled.is_set()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
