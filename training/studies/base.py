"""What all rows of a study share: the recipe they start from; for studies of fine-tuning also the classes scored.

Such a study compares, and so chooses; therefore it never sees a test split. It scores the data set's split `validation`
where there is one (cars196_dev, grocery, a plain folder of classes). Elsewhere (CUB, Cars-196, SOP, In-Shop) half of
the training classes are set aside, drawn by one seed for all rows and all seeds of training: the published protocols,
too, train on one half of the classes and score the other, and every score is then over the same images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from retrieval.datasets import holdout_classes, open_dataset
from retrieval.errors import UserError
from training.recipe import Recipe
from training.recipe_file import load_recipe_of
from training.studies.kind import Images, R

BASES = Path(__file__).parent / "bases"
_SMALL = ("efficientnet", "mobilenet")

HOLDOUT = 0.5
_TEST_SPLITS = ("test", "query", "gallery", "query/gallery", "all")
_OWN_OPTIONS = {
    "name": None,
    "seed": "--seeds",
    "data.name": "--data",
    "data.root": "--root",
    "network.backbone": "--backbone",
}


@dataclass(frozen=True)
class Base(Generic[R]):
    """The recipe that rows change. file: a YAML file or a packaged recipe's name. settings: `key=value` upon it.
    taught_settings: the same, for rows with a teacher alone; teacher_settings: upon all else, for rows that teach.
    """

    kind: type[R]
    file: Path | str
    settings: tuple[str, ...]
    taught_settings: tuple[str, ...] = ()
    teacher_settings: tuple[str, ...] = ()

    def recipe(self, *overrides: Mapping[str, Any], teaches: bool = False) -> R:
        """The recipe with further values by dotted key. Raises RecipeError where they do not fit."""
        taught = self.taught_settings if any("teacher.model" in values for values in overrides) else ()
        last = self.teacher_settings if teaches else ()
        return load_recipe_of(self.kind, self.file, [*self.settings, *taught, *written(*overrides), *last])


def written(*overrides: Mapping[str, Any]) -> tuple[str, ...]:
    """Values by dotted key as `key=value`."""
    return tuple(f"{key}={json.dumps(value)}" for values in overrides for key, value in values.items())


def refuse(settings: Sequence[str], instead: Mapping[str, str | None], *, by: str = "--set") -> None:
    """Raises UserError for settings that are not the user's to make. instead: by key, the option that makes them. by:
    the option that gave the settings.
    """
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key in instead:
            option = instead[key]
            raise UserError(f"{by} {setting}: {f'use {option}' if option else 'each row has its own name'}")


def open_base(
    file: Path | str | None,
    study: Mapping[str, Any],
    *,
    data: str,
    root: Path | None,
    backbone: str,
    settings: Sequence[str] = (),
) -> Base[Recipe]:
    """The base of a study of fine-tuning, with its data set and the classes it is scored on.

    file: None takes `bases/small.yaml` for EfficientNet-Lite and MobileNet, and `bases/authors.yaml` for the others.
    study: what the study sets for all its rows; settings: `key=value` of the user's, over both. Raises UserError for
    settings that are not the user's to make here, and for a recipe that scores test classes.
    """
    refuse(settings, _OWN_OPTIONS)
    name = "small" if backbone.startswith(_SMALL) else "authors"
    own = {**study, "data.name": data, "data.root": str(root) if root else None, "network.backbone": backbone}
    base = Base(Recipe, BASES / f"{name}.yaml" if file is None else file, (*written(own), *settings))
    validation = base.recipe().validation
    if validation.split is None and validation.holdout is None:
        has = "validation" in open_dataset(data, root).split_names
        extra = "validation.split=validation" if has else f"validation.holdout={HOLDOUT}"
        base = Base(Recipe, base.file, (*base.settings, extra))
        validation = base.recipe().validation
    if validation.holdout is not None and validation.holdout_seed is None:
        base = Base(Recipe, base.file, (*base.settings, "validation.holdout_seed=0"))
    if validation.split in _TEST_SPLITS:
        raise UserError(
            f"validation.split is {validation.split}; a study chooses among recipes and must not see test classes: "
            "set validation.holdout instead"
        )
    if validation.keep == "best":
        raise UserError(
            "validation.keep: best would choose each epoch by the classes that are reported; use last"
        )
    return base


def slug(name: str) -> str:
    """A row's name as a folder's: lower case, `penultimate+` to `penultimate-plus`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("+", " plus ")).strip("-")


def count_images(recipe: Recipe) -> Images:
    """Open the data and count, without decoding. Raises DataError where a split is missing."""
    dataset = open_dataset(recipe.data.name, recipe.data.root)
    training = dataset.subset(recipe.data.split)
    validation = recipe.validation
    if validation.holdout is not None:
        training, scored = holdout_classes(training, validation.holdout, validation.holdout_seed or 0)
    else:
        scored = dataset.subset(validation.split or "validation")
    return Images.of(training, scored)
