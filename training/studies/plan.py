"""From a study to the training runs it consists of.

    OUT/ROW/seed-S/        an ordinary run of one row's recipe with seed S
    OUT/ROW/seed-S.log     what the run said
    OUT/ROW/seed-S.json    only for rows of several models: the score of their concatenated embeddings
    OUT/study.json, table.md, plot.png

Rows with the same recipe have the same runs, which lie in the first such row's folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UserError
from retrieval.networks import spec_to_dict
from training.recipe import Recipe
from training.recipe_file import first_difference, load_recipe
from training.run_folder import RunFolder
from training.studies.base import Base, slug
from training.studies.study import Row, Study

_IN_SPEC = (
    "backbone",
    "preset",
    "share_until",
    "heads",
    "mirror",
    "pool",
    "norm",
    "reduction",
    "prune_until",
)
"""What of a recipe's network its spec holds, however it was written."""

PROCESS_FILE = "process.json"
"""In a run's folder: what the process that finished it used."""

_SEED_STEP = 1000
"""Between the seeds of the models of a row, so that no model is the first of another seed's."""


@dataclass(frozen=True)
class PlannedRun:
    """One training run: its folder and its recipe."""

    folder: Path
    recipe: Recipe

    @property
    def finished(self) -> bool:
        """Whether the run is there, whole, and of this recipe."""
        return RunFolder(self.folder).finished and self.difference() is None

    def difference(self) -> str | None:
        """In what the run that lies in the folder has another recipe; None if there is none or it is this one's."""
        folder = RunFolder(self.folder)
        if not folder.recipe.is_file():
            return None
        there = load_recipe(folder.recipe, [f"name={self.recipe.name}"])
        # A run that has to go on is compared by train as strictly as here.
        if folder.finished and _identity(there) == _identity(self.recipe):
            return None
        return first_difference(there, self.recipe)


@dataclass(frozen=True)
class Trial:
    """A row at one seed. score: where the score of several models together is written; None for one model."""

    seed: int
    runs: tuple[PlannedRun, ...]
    score: Path | None


@dataclass(frozen=True)
class PlannedRow:
    """A row with its trials, one a seed. selected: whether this command is to run what is missing of it."""

    row: Row
    recipe: Recipe
    trials: tuple[Trial, ...]
    selected: bool


@dataclass(frozen=True)
class Plan:
    """All of a study's rows, those that are not to be run too: their results may be there."""

    study: Study
    out: Path
    rows: tuple[PlannedRow, ...]


def plan_study(
    study: Study,
    base: Base,
    out: Path,
    *,
    seeds: int,
    rows: Sequence[str] = (),
    reuse: Sequence[Path] = (),
) -> Plan:
    """Every run of a study, with a checked recipe each.

    seeds: how many, from 0. rows: names of those to run, empty for all. reuse: folders beneath which finished runs of
    the same recipe are taken instead of training again. Raises UserError for a wrong number or name, for a recipe
    that cannot be, and where a folder holds a run of another recipe.
    """
    if seeds < 1:
        raise UserError(f"--seeds must be 1 or more; got {seeds}")
    wanted = _select(study, rows)
    _check_out(study, out)
    taken = _finished_runs(reuse)
    planned = []
    for row in study.rows:
        trials = []
        for seed in range(seeds):
            runs = []
            for model in range(row.models):
                own = {"name": slug(row.name), "seed": seed + _SEED_STEP * model}
                recipe = base.recipe(row.overrides, own)
                folder = out / slug(row.name) / f"seed-{recipe.seed}"
                if not RunFolder(folder).recipe.is_file():
                    folder = taken.get(_identity(recipe), folder)
                taken.setdefault(_identity(recipe), folder)
                runs.append(PlannedRun(folder, recipe))
            score = out / slug(row.name) / f"seed-{seed}.json" if row.models > 1 else None
            trials.append(Trial(seed, tuple(runs), score))
        planned.append(PlannedRow(row, trials[0].runs[0].recipe, tuple(trials), row.name in wanted))
    for planned_row in planned:
        if planned_row.selected:
            _check_folders(planned_row)
    return Plan(study, out, tuple(planned))


def _select(study: Study, rows: Sequence[str]) -> set[str]:
    known = {slug(row.name): row.name for row in study.rows}
    for name in rows:
        if slug(name) not in known:
            raise UserError(
                f"study {study.name} has no row {name!r}; its rows are {', '.join(known.values())}"
            )
    return {known[slug(name)] for name in rows} or set(known.values())


def _check_out(study: Study, out: Path) -> None:
    written = out / "study.json"
    if written.is_file():
        other = json.loads(written.read_text(encoding="utf-8"))["study"]
        if other != study.name:
            raise UserError(f"{out} is the folder of the study {other}; give another --out")


def _check_folders(planned: PlannedRow) -> None:
    for trial in planned.trials:
        for run in trial.runs:
            difference = run.difference()
            if difference is not None:
                raise UserError(f"{run.folder} is a run of another recipe: {difference}; give another --out")


def _finished_runs(folders: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--reuse {folder} is not a folder")
        for written in sorted(folder.rglob("seed-*/recipe.yaml")):
            if RunFolder(written.parent).finished:
                found.setdefault(_identity(load_recipe(written)), written.parent)
    return found


def _identity(recipe: Recipe) -> str:
    """The same for recipes that give the same weights, although one names a preset and the other its parts."""
    values = recipe.model_dump(mode="json", exclude={"name", "machine"})
    network = {key: value for key, value in values["network"].items() if key not in _IN_SPEC}
    if recipe.network.prune_until == "auto":
        network["prune_until"] = "auto"
    return json.dumps(
        values | {"network": network, "spec": spec_to_dict(recipe.network.spec())}, sort_keys=True
    )
