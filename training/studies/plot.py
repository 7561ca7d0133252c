"""The plot of a study: a line for each row, a dot for each seed, a bar for mean and spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.studies.results import Outcome, RowResult, Spread
from training.studies.study import Study

_DOT, _BAR, _COST = "#8fb0d0", "#1f4e79", "#b9843c"


def draw_study(study: Study, results: Sequence[RowResult], path: Path, *, about: str) -> None:
    """Draw R@1 and MAP@R of the rows, with memory where the study is about it, into a PNG. about: below the title."""
    panels = 3 if study.memory else 2
    height = 1.4 + 0.34 * max(len(results), 2)
    figure = Figure(figsize=(3.6 * panels + 1.6, height), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True)
    scored = [(row, result) for row, result in enumerate(results) if result.outcomes]
    smallest_k = min(
        (k for _, result in scored for outcome in result.outcomes for k in outcome.recall), default=1
    )
    _scores(axes[0], scored, lambda outcome: outcome.recall[smallest_k])
    axes[0].set(title=f"R@{smallest_k}, per cent", ylim=(len(results) - 0.5, -0.5))
    axes[0].set_yticks(range(len(results)), [_label(result) for result in results])
    _scores(axes[1], scored, lambda outcome: outcome.map_at_r)
    axes[1].set(title="MAP@R, per cent")
    if study.memory:
        axes[2].barh(
            [row for row, _ in scored],
            [result.cost.training_mib for _, result in scored],
            height=0.5,
            color=_COST,
        )
        axes[2].set(title="training memory, MiB")
    for panel in axes:
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize="small")
        panel.title.set_size("small")
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{study.name}\n{about}", fontsize="small")
    # Drawn again from the runs whenever the study is started, so a crash that cuts it short does no harm.
    figure.savefig(path, dpi=140)


def _scores(panel: Axes, scored: Sequence[tuple[int, RowResult]], value: Callable[[Outcome], float]) -> None:
    for row, result in scored:
        values = [100 * value(outcome) for outcome in result.outcomes]
        spread = Spread.of(values)
        # A little below, where the bar does not cover them.
        panel.plot(values, [row + 0.2] * len(values), "o", color=_DOT, markersize=4, zorder=2)
        panel.errorbar(
            spread.mean, row, xerr=spread.deviation, fmt="|", color=_BAR, markersize=12, capsize=3, zorder=3
        )


def _label(result: RowResult) -> str:
    return f"{result.name} (failed)" if result.failed else result.name
