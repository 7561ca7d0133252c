"""The plot of a run: loss, training accuracy per head and validation recall by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw_curves(lines: list[dict[str, Any]], path: Path, *, title: str) -> None:
    """Draw the lines of metrics.jsonl into a PNG. A run without validation gets no recall curve."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in lines]
    left.plot(epochs, [line["loss"] for line in lines], color="black", marker=".")
    left.set(title="loss, summed over heads", xlabel="epoch", ylim=(0, None))
    for head in range(len(lines[0]["accuracy"])):
        if lines[0]["accuracy"][head] is None:
            continue  # its loss knows no classes
        accuracy = [100 * line["accuracy"][head] for line in lines]
        right.plot(epochs, accuracy, marker=".", linestyle="--", label=f"training accuracy, head {head + 1}")
    validated = [line for line in lines if line["validation"] is not None]
    for k in validated[0]["validation"]["recall"] if validated else ():
        recall = [100 * line["validation"]["recall"][k] for line in validated]
        right.plot([line["epoch"] for line in validated], recall, marker="o", label=f"validation R@{k}")
    right.set(title="per cent", xlabel="epoch", ylim=(0, 100))
    if right.lines:
        right.legend(fontsize="x-small")
    figure.suptitle(title)
    # A plot is drawn again from metrics.jsonl if a crash cuts it short, so it needs no care.
    figure.savefig(path, dpi=120)
