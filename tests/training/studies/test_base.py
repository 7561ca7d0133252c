"""Where a study's recipe comes from, and that it never scores test classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.datasets import open_dataset
from retrieval.errors import DataError, UserError
from training.data import open_subsets
from training.recipe import Recipe
from training.studies.base import Base, count_images, open_base, slug


def of(photos: Path, backbone: str = "efficientnet_lite0", *settings: str) -> Base[Recipe]:
    return open_base(None, {}, data=str(photos), root=None, backbone=backbone, settings=settings)


def test_small_networks_and_resnets_start_from_recipes_of_their_own(photos: Path) -> None:
    small, large = of(photos).recipe(), of(photos, "resnet50").recipe()
    assert (small.images.pixels, small.schedule.epochs, small.batch) == (96, 8, 20)
    assert (large.images.pixels, large.schedule.epochs, large.batch) == (224, 40, 40)
    assert large.network.backbone == "resnet50"
    assert small.data.name == str(photos)


def test_the_user_changes_the_study_and_a_row_changes_both(photos: Path, tiny_file: Path) -> None:
    base = open_base(
        tiny_file,
        {"batch": 6, "schedule.epochs": 6},
        data=str(photos),
        root=None,
        backbone="resnet18",
        settings=["batch=7", "images.pixels=48"],
    )
    recipe = base.recipe({"images.pixels": 64})
    assert (recipe.schedule.epochs, recipe.batch, recipe.images.pixels) == (6, 7, 64)


def test_the_validation_split_of_the_data_is_scored_where_there_is_one(photos: Path) -> None:
    recipe = of(photos).recipe()
    assert recipe.validation.split == "validation"
    counted = count_images(recipe)
    assert (counted.training_classes, counted.training_images) == (2, 26)
    assert (counted.scored_classes, counted.scored_images) == (2, 26)


@pytest.fixture
def published(photos: Path, tmp_path: Path) -> Path:
    """A manifest with the splits of CUB or Cars-196: train and test."""
    lines = ["path,label,split"]
    for number, record in enumerate(open_dataset(str(photos)).records):
        split = "test" if record.label == "amber" else "train"
        lines.append(f"{record.path},{record.label}-{number % 2},{split}")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(lines))
    return manifest


def test_elsewhere_the_same_half_of_the_training_classes_is_held_out_for_every_seed(published: Path) -> None:
    base = open_base(None, {}, data=str(published), root=None, backbone="efficientnet_lite0")
    recipe = base.recipe({"batch": 5})
    assert recipe.validation.holdout == 0.5
    scored = []
    for seed in range(6):
        training, validation = open_subsets(recipe.model_copy(update={"seed": seed}), lambda line: None)
        assert validation is not None
        assert not {"amber-0", "amber-1"} & {*training.classes, *validation.classes}, "a test class"
        scored.append(validation.classes)
    assert len(set(scored)) == 1
    counted = count_images(recipe)
    assert counted.training_classes == counted.scored_classes == 3 == len(scored[0])


def test_test_classes_are_refused(published: Path) -> None:
    for split in ("test", "query", "gallery", "all"):
        with pytest.raises(UserError, match="must not see test classes"):
            of(published, "resnet18", f"validation.split={split}")


def test_choosing_epochs_by_the_reported_classes_is_refused(photos: Path) -> None:
    with pytest.raises(UserError, match="would choose each epoch by the classes that are reported"):
        of(photos, "resnet18", "validation.holdout=0.5", "validation.keep=best")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("seed=3", "use --seeds"),
        ("data.name=x", "use --data"),
        ("network.backbone=x", "use --backbone"),
        ("name=x", "own name"),
        ("schedule.epoch=3", "did you mean epochs"),
        ("batch", "needs key=value"),
    ],
)
def test_settings_that_cannot_be_are_named(photos: Path, setting: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        of(photos, "resnet18", setting)


def test_data_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="nowhere"):
        open_base(None, {}, data="nowhere", root=None, backbone="resnet18")


def test_names_become_folders_that_differ() -> None:
    assert slug("penultimate+") == "penultimate-plus"
    assert slug("penultimate") == "penultimate"
    assert slug("Depth and rate (HDhE)") == "depth-and-rate-hdhe"
    assert slug("proxy_nca++") == "proxy-nca-plus-plus"
