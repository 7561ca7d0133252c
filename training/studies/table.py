"""A study's results in words: a line for a row, and the Markdown table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from training.studies.results import RowResult, Spread
from training.studies.study import Study

_Column = tuple[str, Callable[[RowResult], str]]


def row_in_words(result: RowResult) -> str:
    """One line for a terminal: `until 16: R@1 54.2 ± 0.4, ..., MAP@R 9.1 ± 0.1; 3 seeds, 4.1 min each`."""
    if result.failed:
        return f"{result.name}: failed ({result.failures[0]})"
    scores = [f"R@{k} {_percent(result, lambda o, k=k: o.recall[k])}" for k in _ks([result])]
    scores.append(f"MAP@R {_percent(result, lambda o: o.map_at_r)}")
    count = len(result.outcomes)
    seeds = f"{count} seed{'s' * (count != 1)}" + (f", {len(result.failures)} failed" * bool(result.failures))
    return f"{result.name}: {', '.join(scores)}; {seeds}, {_minutes(result)} min each"


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


def _columns(study: Study, results: Sequence[RowResult]) -> list[_Column]:
    def recall(k: int) -> _Column:
        return f"R@{k}", lambda result: _percent(result, lambda outcome: outcome.recall[k])

    columns: list[_Column] = [
        (study.name, lambda result: result.name),
        *(recall(k) for k in _ks(results)),
        ("MAP@R", lambda result: _percent(result, lambda outcome: outcome.map_at_r)),
        ("seeds", _seeds),
        ("embedding", lambda result: str(result.cost.embedding_size)),
        ("parameters", lambda result: f"{result.cost.parameters / 1e6:.2f} M"),
        ("GMACs", lambda result: f"{result.cost.gmacs:.3f}"),
        ("mirrored", lambda result: "yes" if result.cost.mirror else "no"),
        ("minutes", _minutes),
    ]
    if study.memory:
        columns.append(("training memory", lambda result: f"{result.cost.training_mib:.0f} MiB"))
        columns.append(("peak of process", _peak))
    return columns


def _legend(study: Study, results: Sequence[RowResult]) -> str:
    said = (
        "Scores in per cent, mean ± sample standard deviation over seeds (none is shown for one seed). Parameters "
        "without classifiers; GMACs of one image in one view at the row's pixels, the mirror doubles them; minutes of "
        "training for one seed by the wall clock, validation not counted."
    )
    if study.memory:
        said += (
            " Training memory: weights, gradients, the optimiser's averages and the activations kept for the backward "
            "pass of one batch, counted, not measured. Peak of process: measured, with libraries and cached images."
        )
    return said


def _ks(results: Sequence[RowResult]) -> list[int]:
    """The Ks that every result has."""
    kept = [set(outcome.recall) for result in results for outcome in result.outcomes]
    return sorted(set.intersection(*kept)) if kept else []


def _percent(result: RowResult, value: Callable[..., float]) -> str:
    if not result.outcomes:
        return "failed"
    spread = Spread.of([100 * value(outcome) for outcome in result.outcomes])
    return f"{spread.mean:.1f}" + (f" ± {spread.deviation:.1f}" if spread.deviation is not None else "")


def _seeds(result: RowResult) -> str:
    return str(len(result.outcomes)) + (f" ({len(result.failures)} failed)" if result.failures else "")


def _minutes(result: RowResult) -> str:
    if not result.outcomes:
        return "-"
    return f"{Spread.of([outcome.minutes for outcome in result.outcomes]).mean:.1f}"


def _peak(result: RowResult) -> str:
    peaks = [outcome.peak_mib for outcome in result.outcomes if outcome.peak_mib is not None]
    return f"{max(peaks):.0f} MiB" if peaks else "-"
