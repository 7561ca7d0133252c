"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[T], *, total: int, label: str, unit: str = "it", shown: bool = True) -> Iterator[T]:
    """Yield the items and report on stderr how many of `total` are done; nothing where not `shown`.

    Elsewhere than on a terminal a line is printed at most every 10 seconds, and one at the end if any was
    printed before, so that short work stays silent in a log.
    """
    if not shown:
        yield from items
        return
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, unit=unit, leave=False)
        return
    started = last = time.monotonic()
    done = 0
    lines = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            lines += 1
            print(f"{label}: {done}/{total} {unit}, {now - started:.0f} s", file=sys.stderr, flush=True)
    if lines:
        elapsed = time.monotonic() - started
        print(f"{label}: done, {done} {unit} in {elapsed:.0f} s", file=sys.stderr, flush=True)


def say_nothing(line: str) -> None:
    """A report for those who want none."""
