"""What the runs of a study brought, read from their folders, and mean and spread over seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from training.metrics import read_metrics
from training.run_folder import RunFolder
from training.studies.kind import Facts, Trained
from training.studies.plan import PROCESS_FILE, Plan, PlannedRow, Trial
from training.studies.study import Study

MIB = 2**20


@dataclass(frozen=True)
class Outcome:
    """One row at one seed. scores: shares in 0..1 by name, the foremost first. minutes: of training, of all its models
    together, without validation. peak_mib: the most that a process used; None where it was killed before it could say.
    """

    seed: int
    scores: Mapping[str, float]
    minutes: float
    peak_mib: float | None


@dataclass(frozen=True)
class RowResult:
    """A row with what there is of it: outcomes in the order of seeds, and a line for each trial that failed. published:
    scores in per cent by name.
    """

    name: str
    facts: Facts
    outcomes: tuple[Outcome, ...]
    failures: tuple[str, ...] = ()
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether nothing came of it but failures."""
        return bool(self.failures) and not self.outcomes


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation; deviation is None for a single value."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """values: one or more."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)


def read_results(plan: Plan, failures: Mapping[tuple[str, int], str]) -> list[RowResult]:
    """The rows in the study's order that were to be run or have a result. failures: by row and seed, of this time."""
    results = []
    for planned in plan.rows:
        outcomes = [read_outcome(trial) for trial in planned.trials]
        found = tuple(outcome for outcome in outcomes if outcome is not None)
        failed = tuple(line for (row, _), line in failures.items() if row == planned.row.name)
        if found or failed:
            row = planned.row
            results.append(RowResult(row.name, facts_of(planned), found, failed, row.published))
    return results


def read_outcome(trial: Trial) -> Outcome | None:
    """What a trial brought; None until all its runs have finished, and of a teacher that was never scored."""
    if not all(run.finished for run in trial.runs):
        return None
    folders = [RunFolder(run.folder) for run in trial.runs]
    documents = [run.document for run in trial.runs]
    if trial.score is None:
        if not documents[0]["scores"]:
            return None
        score = documents[0]["scores"][-1]
    else:
        score = json.loads(trial.score.read_text(encoding="utf-8")) if trial.score.is_file() else None
        if score is None or score["fingerprints"] != [document["fingerprint"] for document in documents]:
            return None
    peaks = [_peak(folder.path) for folder in folders]
    return Outcome(
        seed=trial.seed,
        scores=trial.runs[0].kind.scores(score),
        minutes=sum(_seconds(folder) for folder in folders) / 60,
        peak_mib=None if None in peaks else max(peak for peak in peaks if peak is not None) / MIB,
    )


def foremost(study: Study, outcome: Outcome) -> tuple[str, float]:
    """Name and value of the first score that the study shows; of a teacher, which may have others, its own first."""
    name = next((name for name in study.scores if name in outcome.scores), next(iter(outcome.scores)))
    return name, outcome.scores[name]


def _seconds(folder: RunFolder) -> float:
    """Of training: of the run itself, and of trials that it made in folders of their own."""
    parts = [RunFolder(file.parent) for file in folder.path.rglob(folder.metrics.name)]
    seconds: float = sum(line["seconds"] for part in parts for line in read_metrics(part))
    return seconds


def _peak(folder: Path) -> int | None:
    file = folder / PROCESS_FILE
    if not file.is_file():
        return None
    peak: int = json.loads(file.read_text(encoding="utf-8"))["peak_bytes"]
    return peak


def facts_of(planned: PlannedRow) -> Facts:
    """What there is to say of a row, by its first finished run if it has one."""
    first = planned.trials[0].runs[0]
    runs = (run for trial in planned.trials for run in trial.runs if run.finished)
    trained = Trained(
        recipe=planned.recipe,
        models=planned.row.models,
        teacher=None if first.teacher is None else first.teacher.recipe,
        document=next((run.document for run in runs), None),
    )
    return first.kind.facts(trained)
