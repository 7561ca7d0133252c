"""The values of a recipe: the authors' defaults, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from retrieval.networks import HeadSpec
from training.recipe import Recipe
from training.sections.network import NetworkSection
from training.sections.validation import ValidationSection


def test_defaults_are_the_published_recipe() -> None:
    recipe = Recipe.model_validate({"name": "x", "data": {"name": "cub200"}})
    assert (recipe.batch, recipe.images.pixels, recipe.images.mirror) == (40, 224, True)
    optimiser = recipe.optimiser
    assert (optimiser.lr, optimiser.classifier_lr) == (1e-3, 1e-2)
    assert (optimiser.momentum, optimiser.nesterov, optimiser.weight_decay) == (0.9, True, 5e-4)
    assert (recipe.schedule.epochs, recipe.schedule.drops, recipe.schedule.drop_factor) == (40, (0.5,), 0.1)
    assert recipe.network.spec().heads == (
        HeadSpec("res4_last", 1, "penultimate+", "avg", 0.5),
        HeadSpec("res4_1", 1, "penultimate+", "avg", 4.0),
    )
    assert recipe.validation.keep == "last"


def test_parts_of_the_preset_can_be_replaced() -> None:
    section = NetworkSection.model_validate(
        {"preset": "hdhe", "share_until": "B3", "mirror": False, "heads": [{"last_block": "res4_2", "lr": 3}]}
    )
    spec = section.spec()
    assert (spec.share_until, spec.mirror) == ("B3", False)
    assert spec.heads == (HeadSpec("res4_2", lr=3.0),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": {"preset": "hdhe", "freeze_until": "B3"}}, "freeze_until B3 reaches into the heads"),
        ({"network": {"heads": [{"last_block": "res4_9"}]}}, "res4_9"),
        ({"network": {"share_until": "B3", "heads": [{"last_block": "res3_2"}]}}, "lies in the trunk"),
        ({"network": {"backbone": "vgg"}}, "must be one of resnet"),
        ({"images": {"pixels": 224, "resize": 200}}, "resize 200 is smaller than pixels 224"),
        ({"optimiser": {"momentum": 0}}, "nesterov needs momentum"),
        ({"schedule": {"epochs": 5, "warmup_epochs": 5}}, "warmup_epochs 5 leaves nothing of 5 epochs"),
        ({"validation": {"split": "val", "holdout": 0.1}}, "split or holdout, not both"),
        ({"validation": {"split": "test", "keep": "best"}}, "needs validation.holdout"),
        ({"optimiser": {"lr": float("nan")}}, "finite"),
        ({"name": "../x"}, "pattern"),
    ],
)
def test_impossible_combinations_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe.model_validate({"name": "x", "data": {"name": "cub200"}} | values)


def test_best_is_chosen_on_held_out_training_classes_only() -> None:
    assert ValidationSection(holdout=0.1, keep="best").keep == "best"
    with pytest.raises(ValidationError, match="add 1 to k"):
        ValidationSection(holdout=0.1, keep="best", k=(2, 4))
