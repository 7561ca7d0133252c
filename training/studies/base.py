"""What all rows of a study share: the recipe they start from, the data, and the classes that are scored.

A study compares, and so chooses; therefore it never sees a test split. It scores the data set's split `validation`
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
from typing import Any

from retrieval.datasets import holdout_classes, open_dataset
from retrieval.errors import UserError
from training.recipe import Recipe
from training.recipe_file import load_recipe

_BASES = Path(__file__).parent / "bases"
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
class Base:
    """The recipe that rows change. file: a YAML file or a packaged recipe's name. settings: `key=value` upon it."""

    file: Path | str
    settings: tuple[str, ...]

    def recipe(self, *overrides: Mapping[str, Any]) -> Recipe:
        """The recipe with further values by dotted key. Raises RecipeError where they do not fit."""
        more = [f"{key}={json.dumps(value)}" for values in overrides for key, value in values.items()]
        return load_recipe(self.file, [*self.settings, *more])


def open_base(
    file: Path | str | None,
    study: Mapping[str, Any],
    *,
    data: str,
    root: Path | None,
    backbone: str,
    settings: Sequence[str] = (),
) -> Base:
    """The base of a study, with its data set and the classes it is scored on.

    file: None takes `bases/small.yaml` for EfficientNet-Lite and MobileNet, and `bases/authors.yaml` for the others.
    study: what the study sets for all its rows; settings: `key=value` of the user's, over both. Raises UserError for
    settings that are not the user's to make here, and for a recipe that scores test classes.
    """
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key in _OWN_OPTIONS:
            instead = _OWN_OPTIONS[key]
            raise UserError(
                f"--set {setting}: {f'use {instead}' if instead else 'each row has its own name'}"
            )
    name = "small" if backbone.startswith(_SMALL) else "authors"
    own = {**study, "data.name": data, "data.root": str(root) if root else None, "network.backbone": backbone}
    written = tuple(f"{key}={json.dumps(value)}" for key, value in own.items())
    base = Base(_BASES / f"{name}.yaml" if file is None else file, (*written, *settings))
    validation = base.recipe().validation
    if validation.split is None and validation.holdout is None:
        has = "validation" in open_dataset(data, root).split_names
        extra = "validation.split=validation" if has else f"validation.holdout={HOLDOUT}"
        base = Base(base.file, (*base.settings, extra))
        validation = base.recipe().validation
    if validation.holdout is not None and validation.holdout_seed is None:
        base = Base(base.file, (*base.settings, "validation.holdout_seed=0"))
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


@dataclass(frozen=True)
class Images:
    """What is trained on and what is scored: names of the splits, classes and images of each."""

    training: str
    training_classes: int
    training_images: int
    scored: str
    scored_classes: int
    scored_images: int

    def __str__(self) -> str:
        return (
            f"trained on {self.training} ({self.training_classes:,} classes, {self.training_images:,} images), scored "
            f"leave-one-out on {self.scored} ({self.scored_classes:,} classes, {self.scored_images:,} images)"
        )


def count_images(recipe: Recipe) -> Images:
    """Open the data and count, without decoding. Raises DataError where a split is missing."""
    dataset = open_dataset(recipe.data.name, recipe.data.root)
    training = dataset.subset(recipe.data.split)
    validation = recipe.validation
    if validation.holdout is not None:
        training, scored = holdout_classes(training, validation.holdout, validation.holdout_seed or 0)
    else:
        scored = dataset.subset(validation.split or "validation")
    return Images(
        training.name,
        len(training.classes),
        len(training),
        scored.name,
        len(scored.classes),
        len(scored),
    )
