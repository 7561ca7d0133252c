"""The tables of the studies: every row is a recipe that can be run, and rows are what their names say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import NetworkError, UserError
from retrieval.networks import build_ensemble
from retrieval.networks.cost import cost
from tests.training.studies.in_this_process import InThisProcess
from tests.training.studies.narrowed import recipe_of
from training.distillation.recipe import DistillationRecipe
from training.recipe import Recipe
from training.recipe_file import load_recipe_of
from training.studies.base import open_base, slug
from training.studies.catalogue import DISTILLATION_STUDIES, FINE_TUNING_STUDIES, study_of
from training.studies.distillation.base import open_distillation_base
from training.studies.distillation.kind import identity
from training.studies.laboratory import Laboratory
from training.studies.plan import plan_study
from training.studies.results import read_results
from training.studies.study import Study


def recipes(name: str, backbone: str, photos: Path) -> tuple[Study, dict[str, Recipe]]:
    study = study_of(name, backbone)
    base = open_base(None, study.base, data=str(photos), root=None, backbone=backbone)
    return study, {row.name: base.recipe(row.overrides) for row in study.rows}


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet50", "mobilenet_v3_small"])
@pytest.mark.parametrize("name", FINE_TUNING_STUDIES)
def test_every_row_is_a_recipe_and_no_two_rows_are_the_same(name: str, backbone: str, photos: Path) -> None:
    study, built = recipes(name, backbone, photos)
    assert study.name == name
    alone = [built[row.name].model_dump_json() for row in study.rows if row.models == 1]
    assert len(set(alone)) == len(alone)
    assert len({slug(row.name) for row in study.rows}) == len(study.rows)
    assert not any("," in row.name for row in study.rows), "--rows takes names between commas"


def test_an_unknown_study_or_backbone_is_named() -> None:
    with pytest.raises(UserError, match="there is no study 'prunning'; choose one of pruning, layer-rates, "):
        study_of("prunning", "resnet50")
    with pytest.raises(NetworkError, match="backbone must be one of"):
        study_of("pruning", "resnet51")


DATA = dict.fromkeys(DISTILLATION_STUDIES, ("cifar10", "elsewhere")) | {
    "compression": ("cifar10", "cifar100", "elsewhere"),
    "transfer": ("mit67", "cub200_classes", "elsewhere"),
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, sets in DATA.items() for data in sets])
def test_every_row_of_distillation_is_a_recipe(name: str, data: str) -> None:
    study = study_of(name, None, data=data)
    assert study.name == name
    base = open_distillation_base(None, study, data=data, root=None)
    built = [
        base.recipe(row.overrides, {"teacher.model": row.teacher} if row.teacher else {}, teaches=row.teaches)
        for row in study.rows
    ]
    assert len({identity(recipe) for recipe in built}) == len(built)
    assert len({slug(row.name) for row in study.rows}) == len(study.rows)
    assert not any("," in row.name for row in study.rows)
    for row, recipe in zip(study.rows, built, strict=True):
        assert (recipe.teacher is None) == (not recipe.terms)
        assert set(row.published) <= set(study.scores) | {"error"}
        assert data != "elsewhere" or not row.published


def test_rows_are_the_slides() -> None:
    def published(name: str, data: str, row: str) -> dict[str, float]:
        return dict({each.name: each for each in study_of(name, None, data=data).rows}[row].published)

    # Read off the slides' tables, a figure from each corner and one from the middle.
    assert published("fast-training", "cifar10", "none at 1+1") == {"error": 43.37}
    assert published("fast-training", "cifar10", "AT + KD at 3+12") == {"error": 8.35}
    assert published("fast-training", "cifar10", "AB + KD at 20+100") == {"error": 5.58}
    assert published("small-data", "cifar10", "none at 0.1 %") == {"error": 73.83}
    assert published("small-data", "cifar10", "AB + KD at 1 %") == {"error": 21.54}
    assert published("small-data", "cifar10", "FSP + KD at 20 %") == {"error": 13.85}
    assert published("compression", "cifar10", "KD for depth") == {"error": 22.98}
    assert published("compression", "cifar10", "AB + KD for same network") == {"error": 6.63}
    assert published("compression", "cifar100", "none for (a)") == {"error": 22.72}
    assert published("compression", "cifar100", "FT for (d)") == {"error": 26.20}
    assert published("compression", "cifar100", "OFD for (f)") == {"error": 18.89}
    assert published("transfer", "mit67", "ImageNet weights with 5 a class") == {"accuracy": 32.39}
    assert published("transfer", "mit67", "AB + DTL with 80 a class") == {"accuracy": 74.10}
    assert published("transfer", "cub200_classes", "Jacobian + DTL with 10 a class") == {"accuracy": 45.39}
    overlaps = published("activation-overlap", "cifar10", "marginal L2 (AB)")
    assert overlaps == {"overlap B1": 96.3, "overlap B2": 96.4, "overlap B3": 92.8}


def test_the_teacher_is_that_of_the_packaged_recipe() -> None:
    study = study_of("fast-training", None, data="cifar10")
    base = open_distillation_base(None, study, data="cifar10", root=None)
    packaged = load_recipe_of(DistillationRecipe, "cifar10_teacher", ["score.every=1000"])
    assert identity(base.recipe(study.rows[0].overrides, teaches=True)) == identity(packaged)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("pruning", {}, "study pruning needs --backbone"),
        ("pruning", {"teachers": {"a": "b"}}, "needs --backbone"),
        ("compression", {"backbone": "wrn-10-1"}, "have their own students; leave out --backbone"),
        ("activation-overlap", {"backbone": "wrn-10-1"}, "leave out --backbone"),
        ("transfer", {"teachers": {"resnet50": "", "resnet18": ""}}, "give --teacher once"),
    ],
)
def test_options_that_a_study_has_no_use_for_are_named(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        study_of(name, options.pop("backbone", None), data="cifar10", **options)
    with pytest.raises(UserError, match="leave out --teacher"):
        study_of("pruning", "resnet18", teachers={"resnet50": ""})


def test_pruning_goes_down_to_the_end_of_b3_and_one_below(photos: Path) -> None:
    _, built = recipes("pruning", "resnet50", photos)
    last = {name: recipe.network.spec().heads[0].last_block for name, recipe in built.items()}
    assert last == {
        "none": "res4_last",
        "until 16": "res4_2",
        "until 15": "res4_1",
        "until 14": "res3_6",
        "until 13": "res3_5",
        "chosen automatically": "res4_last",  # until a run has chosen
    }
    parameters = {name: cost(recipe.network.spec()).parameters for name, recipe in built.items()}
    # Counted by hand from the blocks' shapes; 14.58 M is also what AutoLR's authors give.
    assert parameters["none"] == 23_508_032
    assert parameters["until 16"] == 19_045_440
    assert parameters["until 15"] == 14_582_848


def test_sharing_is_hdhe_with_the_parameters_of_three_depths(photos: Path) -> None:
    _, built = recipes("sharing", "resnet50", photos)
    counted = [cost(recipe.network.spec()).parameters for recipe in built.values()]
    assert [round(count / 1e6, 2) for count in counted] == [33.66, 32.44, 25.34]


def test_diversity_changes_one_thing_at_a_time(photos: Path) -> None:
    _, built = recipes("diversity", "resnet50", photos)

    def differing(name: str) -> set[str]:
        one, other = (vars(head) for head in built[name].network.spec().heads)
        return {key for key in one if one[key] != other[key]}

    assert {name: differing(name) for name in built} == {
        "same heads": set(),
        "stride": {"stride"},
        "depth": {"last_block"},
        "rate": {"lr"},
        "depth and rate (HDhE)": {"last_block", "lr"},
        "stride and depth and rate": {"stride", "last_block", "lr"},
    }


def test_reduction_changes_the_feature_alone(photos: Path) -> None:
    _, built = recipes("reduction", "resnet50", photos)
    sizes = {
        name: build_ensemble(recipe.network.spec(), weights=None).embedding_size
        for name, recipe in built.items()
    }
    assert sizes == {"original": 2048, "linear": 512, "penultimate": 512, "penultimate+": 512}


def test_two_separate_networks_share_the_run_of_the_single_one(photos: Path, tmp_path: Path) -> None:
    study = study_of("ensemble", "resnet50")
    base = open_base(None, study.base, data=str(photos), root=None, backbone="resnet50")
    plan = plan_study(study, base, tmp_path, seeds=2)
    rows = {planned.row.name: planned for planned in plan.rows}
    for trial in rows["two separate networks"].trials:
        first, second = trial.runs
        assert first.folder == tmp_path / "single" / f"seed-{trial.seed}"
        assert second.folder == tmp_path / "two-separate-networks" / f"seed-{1000 + trial.seed}"
        assert recipe_of(first).network == recipe_of(second).network


@pytest.fixture(scope="module")
def many_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 classes of 5 images, so that 8 train: room for batches of 20 with 4 or 5 images of a class."""
    root = tmp_path_factory.mktemp("classes")
    noise = np.random.default_rng(3)
    for label in range(16):
        (root / f"{label:02d}").mkdir()
        for number in range(5):
            pixels = noise.integers(0, 40, (32, 32, 3)) + 13 * label
            Image.fromarray(pixels.astype(np.uint8)).save(root / f"{label:02d}" / f"{number}.png")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", FINE_TUNING_STUDIES)
def test_every_row_trains_and_is_scored(name: str, many_classes: Path, tmp_path: Path) -> None:
    study = study_of(name, "efficientnet_lite0")
    small = ["images.pixels=32", "schedule.epochs=1", "schedule.warmup_epochs=0", "pruning.epochs=1"]
    base = open_base(
        None, study.base, data=str(many_classes), root=None, backbone="efficientnet_lite0", settings=small
    )
    plan = plan_study(study, base, tmp_path, seeds=1)
    laboratory = Laboratory(plan, InThisProcess(), 2, report=lambda line: None)
    laboratory.run(1, lambda planned: None)
    assert laboratory.failures == {}
    results = read_results(plan, {})
    assert [result.name for result in results] == [row.name for row in study.rows]
