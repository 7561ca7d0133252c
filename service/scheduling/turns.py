"""A request with many images takes turns: while the images of one are embedded, those of the next are decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from service.settings import Settings

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

_TURNS_UNDER_WAY = 2


def images_under_way(images: int, settings: Settings) -> int:
    """How many images of a request with so many are in memory at a time."""
    return min(images, _TURNS_UNDER_WAY * settings.upload_batch_images)


async def in_turns(
    entries: Sequence[A],
    prepare: Callable[[Sequence[A]], Awaitable[B]],
    finish: Callable[[B], Awaitable[Sequence[C]]],
    *,
    size: int,
) -> list[C]:
    """What `finish` makes of what `prepare` makes of n >= 1 entries, `size` at a time, in order. The next turn is
    prepared while one is finished.
    """
    turns = [entries[start : start + size] for start in range(0, len(entries), size)]
    results: list[C] = []
    preparing = asyncio.ensure_future(prepare(turns[0]))
    try:
        for following in [*turns[1:], None]:
            prepared = await preparing
            if following is not None:
                preparing = asyncio.ensure_future(prepare(following))
            results.extend(await finish(prepared))
    finally:
        # Where one turn fails, the next is not wanted any more; what became of it, nobody asks.
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)
    return results
