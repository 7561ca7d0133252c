"""What all rows of a study of distillation share: the recipe that they start from, and its data.

Unlike studies of fine-tuning, these score the split that the slides score, `test`, once after the last epoch: they set
ours beside published figures, and choose no epoch and no row by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrieval.errors import UserError
from training.distillation.recipe import DistillationRecipe
from training.studies.base import Base, refuse, written
from training.studies.study import Study

_OWN_OPTIONS = {
    "name": None,
    "seed": "--seeds",
    "data.name": "--data",
    "data.root": "--root",
    "student.network": "--backbone",
    "teacher.model": "--teacher",
}


def open_distillation_base(
    file: Path | str | None,
    study: Study,
    *,
    data: str,
    root: Path | None,
    settings: Sequence[str] = (),
    teacher_settings: Sequence[str] = (),
) -> Base[DistillationRecipe]:
    """The base of a study with its data set.

    file: None takes the study's own. settings: `key=value` of the user's for all rows, over the study's; those of the
    teacher (`teacher.pixels`) count where there is one. teacher_settings: upon all, for the rows that train a teacher.
    Raises UserError for settings that are not the user's to make here, and for what makes no recipe.
    """
    refuse(settings, _OWN_OPTIONS)
    refuse(teacher_settings, _OWN_OPTIONS, by="--teacher-set")
    own = {**study.base, "data.name": data, "data.root": str(root) if root else None}
    start = file or study.file or "cifar10"
    taught = tuple(setting for setting in settings if setting.strip().startswith("teacher."))
    base = Base(
        DistillationRecipe,
        start,
        (*written(own), *(setting for setting in settings if setting not in taught)),
        taught,
        tuple(teacher_settings),
    )
    if base.recipe().score.split is None:
        raise UserError("score.split is null, and a study has nothing to show without scores; set it to test")
    return base
