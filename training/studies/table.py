"""A study's results in words: a line for a row, and the Markdown table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from training.studies.kinds import KINDS
from training.studies.results import RowResult, Spread
from training.studies.study import Study

_Column = tuple[str, Callable[[RowResult], str]]


def row_in_words(study: Study, result: RowResult) -> str:
    """One line for a terminal: `until 16: R@1 54.2 ± 0.4, ..., MAP@R 9.1 ± 0.1; 3 seeds, 4.1 min each`."""
    if result.failed:
        return f"{result.name}: failed ({result.failures[0]})"
    scores = [f"{name} {_percent(result, name)}{_beside(result, name)}" for name in _of(study, result)]
    count = len(result.outcomes)
    seeds = f"{count} seed{'s' * (count != 1)}" + (f", {len(result.failures)} failed" * bool(result.failures))
    return f"{result.name}: {', '.join(scores)}; {seeds}, {_minutes(result)} min each"


def _of(study: Study, result: RowResult) -> tuple[str, ...]:
    """The scores of the study that a row has; a teacher may have none of them, and shows its own first one."""
    had = result.outcomes[0].scores
    return tuple(name for name in shown_scores(study, [result]) if name in had) or tuple(had)[:1]


def _beside(result: RowResult, name: str) -> str:
    return f" (published {result.published[name]:g})" if name in result.published else ""


def markdown(study: Study, results: Sequence[RowResult], caption: Sequence[str]) -> str:
    """The whole of table.md. caption: lines about data, settings and machine, one paragraph each."""
    columns = _columns(study, results)
    lines = [
        "| " + " | ".join(name for name, _ in columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(cell(result) for _, cell in columns) + " |" for result in results),
    ]
    failures = [f"* {result.name} failed: {line}" for result in results for line in result.failures]
    parts = [
        f"# Study: {study.name}",
        study.question,
        f"What is claimed: {study.claim}",
        "\n".join(lines),
        *(["\n".join(failures)] if failures else []),
        *caption,
        _legend(study, results),
    ]
    return "\n\n".join(parts) + "\n"


def shown_scores(study: Study, results: Sequence[RowResult]) -> tuple[str, ...]:
    """The names of the scores that a table shows: the study's, else those that every outcome has."""
    kept = [outcome.scores for result in results for outcome in result.outcomes]
    if study.scores:
        return study.scores
    return tuple(name for name in kept[0] if all(name in scores for scores in kept)) if kept else ()


def _columns(study: Study, results: Sequence[RowResult]) -> list[_Column]:
    columns: list[_Column] = [(study.name, lambda result: result.name)]
    for name in shown_scores(study, results):
        columns.append((name, partial(_percent, name=name)))
        if any(name in result.published for result in results):
            columns.append((f"{name}, published", partial(_published, name=name)))
    columns.append(("seeds", _seeds))
    for name in results[0].facts.cells(study) if results else ():
        columns.append((name, partial(_fact, study=study, name=name)))
    columns.append(("minutes", _minutes))
    if study.memory:
        columns.append(("training memory", _memory))
        columns.append(("peak of process", _peak))
    return columns


def _legend(study: Study, results: Sequence[RowResult]) -> str:
    said = [
        "Scores in per cent, mean ± sample standard deviation over seeds (none is shown for one seed).",
        KINDS[study.kind].legend,
        "Minutes of training for one seed by the wall clock, validation not counted.",
    ]
    if any(result.published for result in results):
        said.append(f"Published: {study.source}")
    if study.note:
        said.append(study.note)
    if study.memory:
        said.append(
            "Training memory: weights, gradients, the optimiser's averages and the activations kept for the backward "
            "pass of one batch, counted, not measured. Peak of process: measured, with libraries and cached images."
        )
    return " ".join(said)


def _percent(result: RowResult, name: str) -> str:
    values = [100 * outcome.scores[name] for outcome in result.outcomes if name in outcome.scores]
    if not values:
        return "-" if result.outcomes else "failed"
    spread = Spread.of(values)
    return f"{spread.mean:.1f}" + (f" ± {spread.deviation:.1f}" if spread.deviation is not None else "")


def _published(result: RowResult, name: str) -> str:
    return f"{result.published[name]:g}" if name in result.published else "-"


def _fact(result: RowResult, study: Study, name: str) -> str:
    return result.facts.cells(study)[name]


def _seeds(result: RowResult) -> str:
    return str(len(result.outcomes)) + (f" ({len(result.failures)} failed)" if result.failures else "")


def _minutes(result: RowResult) -> str:
    if not result.outcomes:
        return "-"
    return f"{Spread.of([outcome.minutes for outcome in result.outcomes]).mean:.1f}"


def _memory(result: RowResult) -> str:
    return "-" if result.facts.training_mib is None else f"{result.facts.training_mib:.0f} MiB"


def _peak(result: RowResult) -> str:
    peaks = [outcome.peak_mib for outcome in result.outcomes if outcome.peak_mib is not None]
    return f"{max(peaks):.0f} MiB" if peaks else "-"
