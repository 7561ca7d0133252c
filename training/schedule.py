"""How the learning rates change over a run: one factor on all of them, a function of the position alone."""

from __future__ import annotations

import math

from training.sections.schedule import StageSection


def rate_factor(schedule: StageSection, position: float) -> float:
    """The factor on every rate for a step that starts at `position`, in epochs from 0.

    `step` multiplies by drop_factor at each of `drops` (HDhE: by 0.1 half way), `cosine` falls to zero along half a
    cosine. During the warm-up the factor grows in a straight line.
    """
    if position < schedule.warmup_epochs:
        return position / schedule.warmup_epochs
    if schedule.shape == "cosine":
        learning = schedule.epochs - schedule.warmup_epochs
        return 0.5 * (1 + math.cos(math.pi * (position - schedule.warmup_epochs) / learning))
    passed = sum(position >= drop * schedule.epochs for drop in schedule.drops)
    return float(schedule.drop_factor**passed)
