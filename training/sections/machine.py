"""What suits the machine and changes no result."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field

from training.sections.section import Factor, Section

Precision = Literal["auto", "bf16", "fp32"]
"""`auto` is bf16 on a GPU that has it and fp32 elsewhere (depthwise convolutions are slower in bf16 on CPUs); `bf16`
and `fp32` insist."""


class MachineSection(Section):
    """What suits the machine and changes no result: a run may be resumed with other values.

    cache_gb: prepared images are kept in memory if they fit in this; otherwise they are decoded in every epoch.
    workers: decoding threads, 0 = as many as there are cores. checkpoint_minutes: a checkpoint inside an epoch when
    the last is older than this; null = only after each epoch.
    """

    cache_gb: Factor = 4.0
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    checkpoint_minutes: Factor | None = 10.0

    @property
    def threads(self) -> int:
        """Decoding threads."""
        if self.workers:
            return self.workers
        # Where it exists, this knows of taskset and container limits that cpu_count does not.
        allowed = getattr(os, "sched_getaffinity", None)
        return len(allowed(0)) if allowed else os.cpu_count() or 1
