"""The plot of a study: a line for each row, a dot for each seed, a bar for mean and spread, a diamond for what is
published.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.studies.results import RowResult, Spread
from training.studies.study import Study
from training.studies.table import shown_scores

_DOT, _BAR, _COST, _PUBLISHED = "#8fb0d0", "#1f4e79", "#b9843c", "#e3b7b0"


def draw_study(study: Study, results: Sequence[RowResult], path: Path, *, about: str) -> None:
    """Draw the rows' scores, with memory where the study is about it, into a PNG. about: below the title."""
    scored = [(row, result) for row, result in enumerate(results) if result.outcomes]
    names = _drawn(study, results)
    panels = max(1, len(names) + study.memory)
    height = 1.4 + 0.34 * max(len(results), 2)
    figure = Figure(figsize=(3.6 * panels + 1.6, height), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for panel, name in zip(axes, names, strict=False):
        _scores(panel, scored, name)
        panel.set(title=f"{name}, per cent")
    axes[0].set(ylim=(len(results) - 0.5, -0.5))
    axes[0].set_yticks(range(len(results)), [_label(result) for result in results])
    if study.memory:
        axes[-1].barh(
            [row for row, _ in scored],
            [result.facts.training_mib or 0 for _, result in scored],
            height=0.5,
            color=_COST,
        )
        axes[-1].set(title="training memory, MiB")
    for panel in axes:
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize="small")
        panel.title.set_size("small")
        panel.spines[["top", "right"]].set_visible(False)
    published = any(name in result.published for _, result in scored for name in names)
    figure.suptitle(f"{study.name}\n{about}; {_legend(published=published)}", fontsize="small")
    # Drawn again from the runs whenever the study is started, so a crash that cuts it short does no harm.
    figure.savefig(path, dpi=140)


def _drawn(study: Study, results: Sequence[RowResult]) -> tuple[str, ...]:
    """The study's scores, else the first and the last of those that all have."""
    names = shown_scores(study, results)
    return names if study.scores or len(names) < 2 else (names[0], names[-1])


def _scores(panel: Axes, scored: Sequence[tuple[int, RowResult]], name: str) -> None:
    for row, result in scored:
        if name in result.published:
            panel.plot(result.published[name], row, "D", color=_PUBLISHED, markersize=5, zorder=1)
        values = [100 * outcome.scores[name] for outcome in result.outcomes if name in outcome.scores]
        if not values:
            continue
        spread = Spread.of(values)
        # A little below, where the bar does not cover them.
        panel.plot(values, [row + 0.2] * len(values), "o", color=_DOT, markersize=4, zorder=2)
        panel.errorbar(
            spread.mean, row, xerr=spread.deviation, fmt="|", color=_BAR, markersize=12, capsize=3, zorder=3
        )


def _legend(*, published: bool) -> str:
    return "a dot a seed, mean ± deviation" + ", a diamond what is published" * published


def _label(result: RowResult) -> str:
    return f"{result.name} (failed)" if result.failed else result.name
