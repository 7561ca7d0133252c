"""What suits the machine and changes no result."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field

from training.sections.section import Factor, Section


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
