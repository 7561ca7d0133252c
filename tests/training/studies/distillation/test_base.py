"""Where the rows of a study of distillation start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.errors import UserError
from tests.training.studies.distillation.conftest import STUDY
from training.distillation.recipe import DistillationRecipe
from training.studies.base import Base
from training.studies.distillation.base import open_distillation_base

Open = Callable[..., Base[DistillationRecipe]]


def test_the_user_changes_the_study_and_a_row_changes_both(student_file: Path, labelled: Path) -> None:
    base = open_distillation_base(
        student_file,
        replace(STUDY, base={"batch": 6, "schedule.epochs": 6}),
        data=str(labelled),
        root=None,
        settings=["batch=7", "optimiser.lr=0.5"],
        teacher_settings=["optimiser.lr=0.25", "schedule.epochs=9"],
    )
    recipe = base.recipe({"schedule.epochs": 5})
    assert (recipe.batch, recipe.schedule.epochs, recipe.optimiser.lr) == (7, 5, 0.5)
    teacher = base.recipe({"schedule.epochs": 5}, teaches=True)
    assert (teacher.batch, teacher.schedule.epochs, teacher.optimiser.lr) == (7, 9, 0.25)


def test_settings_of_the_teacher_are_for_rows_that_have_one(open_tiny: Open) -> None:
    base = open_tiny(settings=["teacher.pixels=24"])
    assert base.recipe().teacher is None
    taught = base.recipe({"teacher.model": "somewhere", "terms": [{"method": "kd"}]})
    assert taught.teacher is not None
    assert taught.teacher.pixels == 24


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"settings": ["student.network=wrn-10-4"]}, "--set student.network=wrn-10-4: use --backbone"),
        ({"settings": ["teacher.model=x"]}, "use --teacher"),
        ({"settings": ["score.split=null"]}, "nothing to show without scores"),
        ({"settings": ["score.splt=test"]}, "did you mean split"),
        ({"teacher_settings": ["seed=1"]}, "--teacher-set seed=1: use --seeds"),
    ],
)
def test_settings_that_cannot_be_are_named(open_tiny: Open, options: dict[str, list[str]], says: str) -> None:
    with pytest.raises(UserError, match=says):
        open_tiny(**options)
