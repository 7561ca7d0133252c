"""Requests with many images take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.scheduling.turns import images_under_way, in_turns
from service.settings import Settings


@pytest.mark.parametrize(("count", "size"), [(1, 4), (4, 4), (5, 4), (13, 4), (3, 1)])
def test_results_come_in_order(count: int, size: int) -> None:
    sizes = []

    async def prepare(turn: Sequence[int]) -> list[int]:
        sizes.append(len(turn))
        # Later turns are quicker: order must not come from time.
        await asyncio.sleep(0.005 / (1 + turn[0]))
        return [number * 10 for number in turn]

    async def finish(prepared: list[int]) -> list[str]:
        return [str(number) for number in prepared]

    results = asyncio.run(in_turns(range(count), prepare, finish, size=size))
    assert results == [str(10 * number) for number in range(count)]
    assert sizes == [len(range(start, min(start + size, count))) for start in range(0, count, size)]


def test_the_next_turn_is_prepared_while_one_is_finished_and_no_more_than_that() -> None:
    events: list[str] = []

    async def prepare(turn: Sequence[int]) -> int:
        events.append(f"prepare {turn[0]}")
        return turn[0]

    async def finish(number: int) -> list[int]:
        await asyncio.sleep(0.001)
        events.append(f"finished {number}")
        return [number]

    asyncio.run(in_turns(range(3), prepare, finish, size=1))
    assert events == ["prepare 0", "prepare 1", "finished 0", "prepare 2", "finished 1", "finished 2"]


@pytest.mark.parametrize("failing", ["prepare", "finish"])
def test_a_failure_ends_the_turn_that_is_being_prepared(failing: str) -> None:
    async def run() -> None:
        async def prepare(turn: Sequence[int]) -> int:
            if failing == "prepare" and turn[0] == 1:
                raise ValueError(failing)
            if turn[0] > 0:
                await asyncio.sleep(60)
            return turn[0]

        async def finish(number: int) -> list[int]:
            await asyncio.sleep(0)
            if failing == "finish":
                raise ValueError(failing)
            return [number]

        with pytest.raises(ValueError, match=failing):
            await in_turns(range(3), prepare, finish, size=1)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_two_turns_are_under_way() -> None:
    settings = Settings(upload_batch_images=8)
    assert [images_under_way(count, settings) for count in (1, 8, 9, 16, 256)] == [1, 8, 9, 16, 16]
