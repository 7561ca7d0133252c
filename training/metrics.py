"""What a run tells about itself, an epoch at a time: metrics.jsonl, TensorBoard and a plot."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from torch.utils.tensorboard import SummaryWriter

from training.run_folder import RunFolder, write_whole


@dataclass(frozen=True)
class EpochMetrics:
    """One line of metrics.jsonl.

    epoch: counted from 1. loss: mean over images of the sum over heads. accuracy: per head, of the training images as
    they were trained on, None where its loss knows no classes. rates: learning rate of each parameter group in the
    epoch's last step. seconds: of training, trials that did not count
    among them, without validation. validation: a score as in the bundle, or None where
    the epoch was not validated.
    """

    epoch: int
    loss: float
    accuracy: list[float | None]
    rates: dict[str, float]
    images_per_second: float
    seconds: float
    validation: dict[str, Any] | None

    def in_words(self, epochs: int) -> str:
        """The line for people."""
        said = f"epoch {self.epoch}/{epochs}: loss {self.loss:.3f}"
        if None not in self.accuracy:
            said += ", accuracy " + " ".join(f"{100 * (value or 0):.1f}" for value in self.accuracy)
        if self.validation is not None:
            said += f", validation {recall_in_words(self.validation)}"
        return f"{said}, {self.images_per_second:.0f} img/s"

    def scalars(self) -> dict[str, float]:
        """The numbers for TensorBoard, by the name of their plot."""
        scalars = {"loss": self.loss, "images_per_second": self.images_per_second}
        accuracies = enumerate(self.accuracy, 1)
        scalars |= {f"accuracy/head{number}": value for number, value in accuracies if value is not None}
        scalars |= {f"rate/{name}": value for name, value in self.rates.items()}
        if self.validation is not None:
            scalars |= {f"validation/recall@{k}": value for k, value in self.validation["recall"].items()}
            scalars["validation/map_at_r"] = self.validation["map_at_r"]
        return scalars


def recall_in_words(score: dict[str, Any]) -> str:
    """Recall of a score as in the bundle, in per cent."""
    return " ".join(f"R@{k} {100 * v:.1f}" for k, v in score["recall"].items())


class Line(Protocol):
    """What a log takes: a dataclass with the epoch it tells of, counted from 1."""

    @property
    def epoch(self) -> int: ...  # noqa: D102

    def scalars(self) -> dict[str, float]: ...  # noqa: D102


class MetricsLog:
    """Appends epochs to the files of a run. A crash loses at most the line being written."""

    def __init__(self, folder: RunFolder, *, epochs_done: int) -> None:
        """epochs_done: lines of later epochs, which a killed run may have left, are dropped."""
        self._folder = folder
        self.lines = [line for line in read_metrics(folder) if line["epoch"] <= epochs_done]
        write_whole(folder.metrics, "".join(json.dumps(line) + "\n" for line in self.lines))
        self._board = SummaryWriter(str(folder.tensorboard), purge_step=epochs_done + 1)

    def add(self, metrics: Line) -> None:
        """Write one epoch."""
        line = asdict(metrics)  # type: ignore[call-overload]  # a protocol cannot say that it is a dataclass
        self.lines.append(line)
        with self._folder.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        for name, value in metrics.scalars().items():
            self._board.add_scalar(name, value, metrics.epoch)
        self._board.flush()

    def close(self) -> None:
        """Write what TensorBoard still holds back."""
        self._board.close()


def read_metrics(folder: RunFolder) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last line that a crash cut short is left out."""
    if not folder.metrics.exists():
        return []
    text = folder.metrics.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
