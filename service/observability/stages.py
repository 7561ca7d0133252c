"""Where the time of a request goes, noted by the code that spends it and read when the request is over.

Whoever does a part of a request's work calls `record` in the request's own task; outside of a request, in a test or
in a command, the call does nothing. Nobody has to be handed anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, get_args

Stage = Literal["decode", "wait", "embed", "search", "respond"]
"""decode: an image file to pixels; wait: in line for a decoding thread and for the network; embed: the batch that the
image was in; search: the collection's answer; respond: from the last of these to the last byte of the answer.
"""
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass
class StageTimes:
    """Seconds by stage; a stage that a request enters more than once (an upload of many images) has several."""

    seconds: dict[Stage, list[float]] = field(default_factory=dict)
    last: float | None = None
    """When the last stage ended, by `time.perf_counter`; None before the first."""

    def totals_ms(self) -> dict[str, float]:
        """Milliseconds by stage, for the log."""
        return {stage: round(1000 * sum(times), 3) for stage, times in self.seconds.items()}


_current: ContextVar[StageTimes | None] = ContextVar("stage_times", default=None)


def record(stage: Stage, seconds: float) -> None:
    """Note that the current request has just spent so long in this stage."""
    times = _current.get()
    if times is not None:
        times.seconds.setdefault(stage, []).append(seconds)
        times.last = time.perf_counter()


def end(times: StageTimes) -> None:
    """Note the end of the answer: what has passed since the last stage is `respond`. Nothing for a request without
    stages.
    """
    if times.last is not None:
        times.seconds["respond"] = [time.perf_counter() - times.last]


@contextmanager
def recording() -> Iterator[StageTimes]:
    """Collect what is recorded in here, also by the tasks that are started in here."""
    times = StageTimes()
    token = _current.set(times)
    try:
        yield times
    finally:
        _current.reset(token)
