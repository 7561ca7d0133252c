"""From a study to the training runs it consists of.

    OUT/ROW/seed-S/        an ordinary run of one row's recipe with seed S
    OUT/ROW/seed-S.log     what the run said
    OUT/ROW/seed-S.json    only for rows of several models: the score of their concatenated embeddings
    OUT/study.json, table.md, plot.png

Rows with the same recipe have the same runs, which lie in the first such row's folder. A row that teaches others has
one run, whose model is written into the recipes of its students.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from retrieval.errors import UserError
from training.run_folder import RunFolder
from training.sections.section import RunSection
from training.studies.base import Base, slug
from training.studies.kinds import KINDS
from training.studies.runs import PlannedRun, finished_runs
from training.studies.study import Row, Study
from training.studies.teachers import given_teachers

PROCESS_FILE = "process.json"
"""In a run's folder: what the process that finished it used."""

_SEED_STEP = 1000
"""Between the seeds of the models of a row, so that no model is the first of another seed's."""


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
    recipe: RunSection
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
    base: Base[Any],
    out: Path,
    *,
    seeds: int,
    rows: Sequence[str] = (),
    reuse: Sequence[Path] = (),
    teachers: Mapping[str, Path] | None = None,
) -> Plan:
    """Every run of a study, with a checked recipe each.

    seeds: how many, from 0. rows: names of those to run, `*` standing for any letters; empty for all. reuse: folders
    beneath which finished runs of the same recipe are taken instead of training again. teachers: finished runs, by the
    network's name, that are taken in place of those that the study would train. Raises UserError for a wrong number or
    name, for a recipe that cannot be, and where a folder holds a run of another recipe.
    """
    if seeds < 1:
        raise UserError(f"--seeds must be 1 or more; got {seeds}")
    wanted = _select(study, rows)
    _check_out(study, out)
    kind = KINDS[study.kind]
    taken = finished_runs(kind, reuse)
    given = given_teachers(study, kind, teachers or {})
    teaching: dict[str, PlannedRun] = {}
    planned = []
    for row in study.rows:
        trials = []
        teacher = teaching[row.teacher] if row.teacher is not None else None
        # Of a model that is to be, its place is known.
        theirs = {"teacher.model": str(RunFolder(teacher.folder.resolve()).bundle)} if teacher else {}
        for seed in range(1 if row.teaches else seeds):
            runs = []
            for model in range(row.models):
                own = {"name": slug(row.name), "seed": seed + _SEED_STEP * model}
                recipe = base.recipe(row.overrides, theirs, own, teaches=row.teaches)
                folder = out / slug(row.name) / f"seed-{recipe.seed}"
                if not RunFolder(folder).recipe.is_file():
                    folder = taken.get(kind.identity(recipe), folder)
                taken.setdefault(kind.identity(recipe), folder)
                runs.append(given.get(row.name, PlannedRun(kind, folder, recipe, teacher)))
            score = out / slug(row.name) / f"seed-{seed}.json" if row.models > 1 else None
            trials.append(Trial(seed, tuple(runs), score))
        if row.teaches:
            teaching[row.name] = trials[0].runs[0]
        planned.append(PlannedRow(row, trials[0].runs[0].recipe, tuple(trials), row.name in wanted))
    for planned_row in planned:
        if planned_row.selected:
            _check_folders(planned_row)
    return Plan(study, out, tuple(planned))


def _select(study: Study, rows: Sequence[str]) -> set[str]:
    if not rows:
        # Teachers are trained where a student needs one.
        return {row.name for row in study.rows}
    found: set[str] = set()
    for name in rows:
        matching = {row.name for row in study.rows if _means(name, row.name)}
        if not matching:
            names = ", ".join(row.name for row in study.rows)
            raise UserError(f"study {study.name} has no row {name!r}; its rows are {names}")
        found |= matching
    return found


def _means(given: str, name: str) -> bool:
    if "*" in given:
        return fnmatchcase(name.lower(), given.lower().replace("[", "[[]").replace("?", "[?]"))
    return slug(given) == slug(name)


def _check_out(study: Study, out: Path) -> None:
    written = out / "study.json"
    if written.is_file():
        other = json.loads(written.read_text(encoding="utf-8"))["study"]
        if other != study.name:
            raise UserError(f"{out} is the folder of the study {other}; give another --out")


def _check_folders(planned: PlannedRow) -> None:
    for trial in planned.trials:
        for run in (each for own in trial.runs for each in (own.teacher, own) if each is not None):
            difference = run.difference()
            if difference is not None:
                raise UserError(f"{run.folder} is a run of another recipe: {difference}; give another --out")
