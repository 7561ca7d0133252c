"""What a run of distillation tells about itself, an epoch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


@dataclass(frozen=True)
class DistillationMetrics:
    """One line of metrics.jsonl.

    epoch: of the run, counted from 1, through all stages. loss: mean over images; parts: what the class loss and each
    term added to it, weighted. accuracy: of each classifier on the training images, None where there is none or the
    stage does not ask it. seconds: of training. score: as in the model's file, or None where the epoch was not scored.
    """

    epoch: int
    stage: str
    loss: float
    parts: dict[str, float]
    accuracy: list[float | None]
    rates: dict[str, float]
    images_per_second: float
    seconds: float
    score: dict[str, Any] | None

    def in_words(self, epochs: int) -> str:
        """The line for people."""
        said = f"epoch {self.epoch}/{epochs}, {self.stage}: loss {self.loss:.3f}"
        if len(self.parts) > 1:
            said += " (" + ", ".join(f"{name} {value:.3f}" for name, value in self.parts.items()) + ")"
        known = [value for value in self.accuracy if value is not None]
        if known:
            said += ", accuracy " + " ".join(f"{100 * value:.1f}" for value in known)
        for name, value in _results(self.score).items():
            said += f", {name} {100 * value:.2f}"
        return f"{said}, {self.images_per_second:.0f} img/s"

    def scalars(self) -> dict[str, float]:
        """The numbers for TensorBoard, by the name of their plot."""
        scalars = {"loss": self.loss, "images_per_second": self.images_per_second}
        scalars |= {f"loss/{name}": value for name, value in self.parts.items()}
        scalars |= {f"accuracy/{n}": value for n, value in enumerate(self.accuracy, 1) if value is not None}
        scalars |= {f"rate/{name}": value for name, value in self.rates.items()}
        return scalars | {f"score/{name}": value for name, value in _results(self.score).items()}


def _results(score: dict[str, Any] | None) -> dict[str, float]:
    """The shares that a score consists of, by name."""
    if score is None:
        return {}
    if "error" in score:
        found = {f"top-{k} error": value for k, value in score["error"].items()}
    else:
        found = {f"R@{k}": value for k, value in score["recall"].items()} | {"MAP@R": score["map_at_r"]}
    for name in ("overlap", "overlap_of_silence"):
        found |= {f"{name.replace('_', ' ')} {tap}": value for tap, value in score.get(name, {}).items()}
    return found


def draw_distillation(lines: list[dict[str, Any]], path: Path, *, title: str) -> None:
    """Draw the lines of metrics.jsonl into a PNG: each term's part of the loss, and the scores."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in dict.fromkeys(name for line in lines for name in line["parts"]):
        having = [line for line in lines if name in line["parts"]]
        left.plot(
            [line["epoch"] for line in having],
            [line["parts"][name] for line in having],
            marker=".",
            label=name,
        )
    left.set(title="parts of the loss", xlabel="epoch", yscale="symlog")
    left.legend(fontsize="x-small")
    scored = [line for line in lines if line["score"] is not None]
    for name in _results(scored[0]["score"]) if scored else ():
        shares = [100 * _results(line["score"])[name] for line in scored]
        right.plot([line["epoch"] for line in scored], shares, marker="o", label=name)
    right.set(title="per cent", xlabel="epoch", ylim=(0, 100))
    if right.lines:
        right.legend(fontsize="x-small")
    figure.suptitle(title)
    # A plot is drawn again from metrics.jsonl if a crash cuts it short, so it needs no care.
    figure.savefig(path, dpi=120)
