"""AutoLR's log, which is also its state: one JSON object a line, one line a trial.

A line is on disk before its trial has any consequence. After a crash the log may know more than the checkpoint: an
accepted trial whose epoch the checkpoint does not hold is dropped and trained again, while the failed trials before it
stand, because their epoch starts from that checkpoint.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.auto_lr.tuner import Trial
from training.run_folder import write_whole


class TrialLog:
    """The trials of a run, in order. In a run of many processes only the first one writes."""

    def __init__(self, path: Path, *, epochs_done: int, write: bool = True) -> None:
        """epochs_done: whole epochs that the run's checkpoint holds; what goes beyond them is dropped."""
        self._path, self._write = path, write
        self.trials = [trial for trial in read_trials(path) if _stands(trial, epochs_done)]
        if write:
            write_whole(path, "".join(json.dumps(_line(trial)) + "\n" for trial in self.trials))

    def add(self, trial: Trial) -> None:
        """Append a trial; when this returns it is on disk."""
        self.trials.append(trial)
        if not self._write:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_line(trial)) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_trials(path: Path) -> list[Trial]:
    """The trials in a log; none where there is no file. A last line that a crash cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [_trial(json.loads(line)) for line in lines if line.endswith("\n")]


def in_words(trial: Trial) -> str:
    """A trial for people: `epoch 3, trial 2: sorting quality 0.918 of 0.921, not sorted`."""
    return (
        f"epoch {trial.epoch + 1}, trial {trial.number}: sorting quality {trial.quality:.3f} "
        f"of {trial.threshold:.3f}, {trial.why}"
    )


def _stands(trial: Trial, epochs_done: int) -> bool:
    return trial.epoch < epochs_done or (trial.epoch == epochs_done and not trial.accepted)


def _line(trial: Trial) -> dict[str, Any]:
    """In the file epochs count from 1, as in metrics.jsonl."""
    return asdict(trial) | {"epoch": trial.epoch + 1}


def _trial(line: dict[str, Any]) -> Trial:
    by_block = {
        key: None if line[key] is None else {int(block): value for block, value in line[key].items()}
        for key in ("rates", "variations", "target")
    }
    return Trial(**(line | by_block | {"epoch": line["epoch"] - 1}))
