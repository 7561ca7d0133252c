"""When training cannot go on although nothing was asked wrongly: what it computes is no longer a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch


class TrainingFailedError(Exception):
    """The loss or the weights are no longer finite; the run's folder keeps its last good checkpoint."""


@dataclass(frozen=True)
class LearningRate:
    """A rate, the key of the recipe that sets it, and the key that softens its start."""

    value: float
    key: str = "optimiser.lr"
    warmup: str = "schedule.warmup_epochs"


def check_finite(model: torch.nn.Module, rate: LearningRate, out: Path) -> None:
    """Raises TrainingFailedError: a checkpoint must never hold what cannot be trained on."""
    if not is_finite(model):
        raise failed(rate, out, "the weights are no longer finite")


def is_finite(model: torch.nn.Module) -> bool:
    """Whether every weight is a number."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


def failed(rate: LearningRate, out: Path, what: str) -> TrainingFailedError:
    """The error for a user: what happened, and what to try."""
    return TrainingFailedError(
        f"{what}; lower {rate.key} (now {rate.value:g}) or raise {rate.warmup} in a run with "
        f"another --out; {out} keeps its last good checkpoint"
    )
