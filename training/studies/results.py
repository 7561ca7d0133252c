"""What the runs of a study brought, read from their folders, and mean and spread over seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from retrieval.networks import spec_from_dict
from retrieval.networks.cost import cost
from training.metrics import read_metrics
from training.run_folder import RunFolder
from training.studies.memory import averages, training_bytes
from training.studies.plan import PROCESS_FILE, Plan, PlannedRow, Trial

MIB = 2**20


@dataclass(frozen=True)
class Outcome:
    """One row at one seed. recall: {K: share in 0..1}. minutes: of training, of all its models together, without
    validation. peak_mib: the most that a process used; None where it was killed before it could say.
    """

    seed: int
    recall: Mapping[int, float]
    map_at_r: float
    minutes: float
    peak_mib: float | None


@dataclass(frozen=True)
class RowCost:
    """What the row's network costs. gmacs: one image, one view, at the pixels that are scored. training_mib: see
    `memory.py`; of one model where there are several, since they are trained one by one.
    """

    parameters: int
    gmacs: float
    embedding_size: int
    mirror: bool
    pixels: int
    training_mib: float


@dataclass(frozen=True)
class RowResult:
    """A row with what there is of it: outcomes in the order of seeds, and a line for each trial that failed."""

    name: str
    cost: RowCost
    outcomes: tuple[Outcome, ...]
    failures: tuple[str, ...] = ()

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
            results.append(RowResult(planned.row.name, row_cost(planned), found, failed))
    return results


def read_outcome(trial: Trial) -> Outcome | None:
    """What a trial brought; None until all its runs have finished."""
    if not all(run.finished for run in trial.runs):
        return None
    folders = [RunFolder(run.folder) for run in trial.runs]
    documents = [json.loads((folder.bundle / "model.json").read_text(encoding="utf-8")) for folder in folders]
    if trial.score is None:
        score = documents[0]["scores"][-1]
    else:
        score = json.loads(trial.score.read_text(encoding="utf-8")) if trial.score.is_file() else None
        if score is None or score["fingerprints"] != [document["fingerprint"] for document in documents]:
            return None
    peaks = [_peak(folder.path) for folder in folders]
    return Outcome(
        seed=trial.seed,
        recall={int(k): value for k, value in score["recall"].items()},
        map_at_r=score["map_at_r"],
        minutes=sum(_seconds(folder) for folder in folders) / 60,
        peak_mib=None if None in peaks else max(peak for peak in peaks if peak is not None) / MIB,
    )


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


def row_cost(planned: PlannedRow) -> RowCost:
    """The cost of the network as it was trained, or, where no run has finished, as the recipe says."""
    spec = planned.recipe.network.spec()
    for run in (run for trial in planned.trials for run in trial.runs if run.finished):
        document: dict[str, Any] = json.loads(
            (run.folder / "bundle" / "model.json").read_text(encoding="utf-8")
        )
        spec = spec_from_dict(document["spec"])
        break
    recipe = planned.recipe
    pixels = recipe.images.scored_side
    counted = cost(spec, pixels)
    models = planned.row.models
    return RowCost(
        parameters=models * counted.parameters,
        gmacs=models * counted.gmacs,
        embedding_size=models * counted.embedding_size,
        mirror=spec.mirror,
        pixels=pixels,
        training_mib=training_bytes(spec, recipe.images.pixels, recipe.batch, averages(recipe.optimiser))
        / MIB,
    )
