"""A study of distillation small enough to run in seconds: one teacher, a student with it and one without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.distillation.recipe import DistillationRecipe
from training.studies.base import Base
from training.studies.distillation.base import open_distillation_base
from training.studies.distillation.methods import teacher_row
from training.studies.plan import Plan, plan_study
from training.studies.study import Row, Study

RECIPE = """
data: {name: none}
student: {network: wrn-10-1}
images: {pixels: 16}
batch: 12
optimiser: {lr: 0.05, classifier_lr: 0.05}
schedule: {epochs: 1}
score: {split: test, every: 1000}
machine: {checkpoint_minutes: null}
"""

TEACHER = teacher_row("wrn-10-2", {"schedule.shape": "cosine"}, 4.5)

STUDY = Study(
    name="tiny",
    question="Does it run?",
    claim="It does.",
    rows=(
        TEACHER,
        Row("KD", {"terms": [{"method": "kd"}], "class_weight": 0.0}, teacher=TEACHER.name),
        Row("none", published={"error": 50.25}),
    ),
    kind="distillation",
    scores=("error",),
    source="a book.",
    pairs=True,
)


@pytest.fixture
def student_file(tmp_path: Path) -> Path:
    file = tmp_path / "student.yaml"
    file.write_text(RECIPE)
    return file


@pytest.fixture
def open_tiny(student_file: Path, labelled: Path) -> Callable[..., Base[DistillationRecipe]]:
    """The tiny study's base, with options of `open_distillation_base`."""

    def open_it(study: Study = STUDY, **rest: Any) -> Base[DistillationRecipe]:
        return open_distillation_base(
            student_file, replace(study, base={}), data=str(labelled), root=None, **rest
        )

    return open_it


@pytest.fixture
def make_lesson_plan(
    open_tiny: Callable[..., Base[DistillationRecipe]], tmp_path: Path
) -> Callable[..., Plan]:
    def make(study: Study = STUDY, *, seeds: int = 1, settings: tuple[str, ...] = (), **rest: Any) -> Plan:
        base = open_tiny(study, settings=settings)
        return plan_study(study, base, rest.pop("out", tmp_path / "study"), seeds=seeds, **rest)

    return make
