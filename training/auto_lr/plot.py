"""AutoLR's figures: weight variation and rates by layer and epoch, and the sorting quality of every trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.auto_lr.tuner import Trial
from training.layer_rates import STEM

_COLOURS = colormaps["viridis"]


def draw_trials(trials: Sequence[Trial], path: Path, *, title: str) -> None:
    """Draw the trials of a log, at least one, into a PNG.

    Left and middle have a line an accepted epoch, from dark to light; the first trial of all, with the rates that were
    set by hand, is dashed.
    """
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    accepted = [trial for trial in trials if trial.accepted]
    epochs = Normalize(1, max(trials[-1].epoch + 1, 2))
    for axes, quantity in ((left, "variations"), (middle, "rates")):
        _by_layer(axes, trials[0], quantity, "black", "--", label="first trial")
        for trial in accepted:
            _by_layer(axes, trial, quantity, _COLOURS(epochs(trial.epoch + 1)), "-")
        axes.set(xlabel="layer (block)", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize="x-small")
    left.set(title="weight variation")
    middle.set(title="learning rate, before the schedule")
    figure.colorbar(ScalarMappable(epochs, _COLOURS), ax=middle, label="epoch")
    _qualities(right, trials)
    figure.suptitle(title)
    # Drawn again from the log if a crash cuts it short.
    figure.savefig(path, dpi=120)


def _by_layer(axes: Axes, trial: Trial, quantity: str, colour: object, style: str, label: str = "") -> None:
    values: dict[int, float] = getattr(trial, quantity)
    # A block that did not move at all has no place on a logarithmic axis.
    layers = [block for block, value in sorted(values.items()) if block != STEM and value > 0]
    axes.plot(
        layers,
        [values[block] for block in layers],
        color=colour,
        linestyle=style,
        marker=".",
        label=label or None,
    )


def _qualities(axes: Axes, trials: Sequence[Trial]) -> None:
    numbers = range(1, len(trials) + 1)
    axes.plot(numbers, [trial.quality for trial in trials], color="lightgrey", zorder=1)
    axes.step(numbers, [trial.threshold for trial in trials], where="mid", color="black", label="threshold")
    for accepted, colour, label in ((True, "tab:green", "accepted"), (False, "tab:red", "thrown away")):
        shown = [n for n in numbers if trials[n - 1].accepted is accepted]
        if shown:
            qualities = [trials[n - 1].quality for n in shown]
            axes.scatter(shown, qualities, color=colour, s=18, zorder=2, label=label)
    axes.set(
        title="sorting quality", xlabel="trial", ylim=(min(0.5, *(t.quality for t in trials)) - 0.05, 1.02)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="x-small", loc="lower right")
