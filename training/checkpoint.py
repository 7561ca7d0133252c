"""Checkpoints: the whole state of a run on disk, to go on from as if nothing had happened.

A checkpoint is what Accelerate saves (weights with batch-norm buffers, momentum, generators) and our progress, in a
folder named after its position. It is written under another name, synced and renamed, and only then are older ones
deleted; the one before is kept in case the newest cannot be read. A crash leaves at most a folder `.unfinished`.
"""

from __future__ import annotations

import json
import pickle
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from accelerate import Accelerator
from safetensors import SafetensorError

from retrieval.durable import sync
from retrieval.errors import UserError

_KEPT = 2
_PROGRESS = "progress.json"


@dataclass
class Progress:
    """Where a run stands, and the sums of the epoch it is in.

    epoch, step: the next step to take, counted from 0. data: digest of the training images' names and labels.
    loss, images, correct, seconds, parts: sums over the steps of this epoch; correct has one count per head, NaN where
    it knows no classes, parts one sum per term of distillation.
    thrown_away: seconds of this epoch's trials that did not count.
    best_epoch, best_recall: the best validated epoch so far, counted from 1, with keep: best.
    """

    data: str
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    images: int = 0
    correct: list[float] = field(default_factory=list)
    seconds: float = 0.0
    thrown_away: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    best_recall: float = -1.0

    def add(
        self, loss: float, images: int, correct: list[float], parts: Mapping[str, float] | None = None
    ) -> None:
        """Count a step in. loss and parts: sums over its images."""
        self.loss += loss
        self.images += images
        # Empty before the epoch's first step where the number of heads is not known beforehand.
        self.correct = [
            before + hit for before, hit in zip(self.correct or [0.0] * len(correct), correct, strict=True)
        ]
        for name, part in (parts or {}).items():
            self.parts[name] = self.parts.get(name, 0.0) + part

    def start_epoch(self, epoch: int, heads: int) -> None:
        """Move to the beginning of an epoch with empty sums."""
        self.thrown_away = self.thrown_away + self.seconds if epoch == self.epoch else 0.0
        self.epoch, self.step = epoch, 0
        self.loss, self.images, self.correct, self.seconds = 0.0, 0, [0.0] * heads, 0.0
        self.parts = {}


def save_checkpoint(folder: Path, accelerator: Accelerator, progress: Progress) -> None:
    """Add a checkpoint to the folder and drop those before the last. Every process calls it; the first one names it.

    Raises UserError when the disk refuses; the checkpoints that were there stay.
    """
    unfinished = folder / ".unfinished"
    try:
        if accelerator.is_main_process:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(unfinished))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (unfinished / _PROGRESS).write_text(json.dumps(asdict(progress)))
            for path in (*unfinished.iterdir(), unfinished):
                sync(path)
            final = folder / f"epoch{progress.epoch:05d}-step{progress.step:07d}"
            if final.exists():  # the same position as the checkpoint that the run went on from
                shutil.rmtree(unfinished)
                return
            unfinished.rename(final)
            sync(folder)
            for old in checkpoints(folder)[_KEPT:]:
                shutil.rmtree(old)
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its zip writer.
        raise UserError(
            f"{folder} cannot take a checkpoint: {_reason(error)}; free some space and add --resume"
        ) from error


def save_is_due(minutes: float | None, saved_at: float) -> bool:
    """Whether a checkpoint inside an epoch is due. minutes: between two; None for never. saved_at: by the monotonic
    clock.
    """
    return minutes is not None and time.monotonic() - saved_at >= 60 * minutes


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints, newest first."""
    return sorted(folder.glob("epoch*-step*"), reverse=True) if folder.is_dir() else []


def load_checkpoint(folder: Path, accelerator: Accelerator, report: Callable[[str], None]) -> Progress | None:
    """Restore the newest checkpoint that can be read, reporting any that cannot; None if there never was one.

    Raises UserError when there are checkpoints and none can be read.
    """
    found = checkpoints(folder)
    for checkpoint in found:
        try:
            progress = Progress(**json.loads((checkpoint / _PROGRESS).read_text()))
            accelerator.load_state(str(checkpoint))
        except (
            EOFError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            SafetensorError,
            pickle.UnpicklingError,
        ) as error:
            report(f"{checkpoint} cannot be read ({_reason(error)}); trying the one before")
            continue
        return progress
    if found:
        raise UserError(f"none of the checkpoints in {folder} can be read; start again with another --out")
    return None


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
