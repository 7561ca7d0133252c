from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from retrieval.datasets import DATASETS, Record, Subset, holdout_classes
from retrieval.datasets.counts import Count
from retrieval.errors import DataError, UserError
from training.commands import train
from training.dry_run import DryRun, dry_run, made_up_counts, steps_of, trained_on
from training.dry_run_report import joined, lines_of
from training.recipe import Recipe
from training.recipe_file import load_recipe, packaged_recipes

SMALL = ("network.backbone=mobilenet_v3_small", "images.pixels=32", "images.resize=null", "batch=12")


def small(name: str, *more: str) -> Recipe:
    return load_recipe(name, [*SMALL, *more])


def text_of(found: DryRun, recipe: Recipe) -> str:
    return "\n".join(lines_of(found, recipe))


def silent(line: str) -> None:
    pass


@pytest.mark.parametrize("data", ["cub200", "cars196", "sop", "inshop", "cars196_dev", "grocery"])
def test_a_step_is_taken_on_every_known_set(data: str) -> None:
    recipe = small(f"{data}_hdhe")
    found = dry_run(recipe, silent)
    classes = DATASETS[data].counts["train"].classes
    assert found.training == DATASETS[data].counts["train"]
    # Two heads of untrained classifiers: cross-entropy near that of chance, for as many classes as the real set has.
    assert found.loss == pytest.approx(2 * math.log(classes), rel=0.1)
    assert found.steps == math.ceil(found.training.images / 12)
    assert found.recall.protocol == ("query/gallery" if data == "inshop" else "leave-one-out")
    text = text_of(found, recipe)
    assert f"train {DATASETS[data].counts['train']}" in text
    assert f"{found.steps:,} an epoch" in text
    assert "embedding" in text
    assert all(len(line.splitlines()) <= 1 for line in lines_of(found, recipe))


def test_the_authors_figures_are_printed() -> None:
    """Counted without building at that size: parameters and GMACs as published, the rates of the paper."""
    recipe = load_recipe("cub200_hdhe", ["batch=2", "images.pixels=64", "images.resize=null"])
    found = dry_run(recipe, silent)
    text = text_of(found, recipe)
    assert found.cost.parameters == 32_439_360
    assert found.objective_parameters == 2 * (512 * 512 + 512 + 2 * 512 + 512 * 100 + 100)
    assert "1024 numbers" in text
    rates = {name: rate for name, rate, _ in joined(found.groups)}
    assert rates == pytest.approx(
        {
            "trunk.stem to trunk.block7": 5e-4,
            "head1.block8 to head1.block16": 5e-4,
            "head2.block8 to head2.block14": 4e-3,
            "head1.classifier": 5e-3,
            "head2.classifier": 4e-2,
        }
    )
    assert sum(count for *_, count in found.groups) == found.cost.parameters + found.objective_parameters
    assert "> HDhE               72.9 / 82.3 / 89.0" in text
    assert "73.90 / 83.05 / 89.64 / 93.69" in text


@pytest.mark.parametrize(
    "change",
    [
        ("sampler.images_per_class=3",),
        ("sampler.images_per_class=3", "sampler.hard_classes=2"),
        ("validation.holdout=0.3", "loss.name=proxy_anchor"),
        ("network.freeze_until=B1", "network.freeze_norms=true", "optimiser.clip_value=1"),
        ("images.crop={}", "images.scored_pixels=40", "optimiser.kind=adamw", "optimiser.lr=1e-4"),
        ("network.preset=pruned", "auto_lr={}"),
        ("network.preset=single", "network.prune_until=auto"),
        ("schedule.frozen_epochs=2", "network.reduction=linear"),
    ],
)
def test_what_else_a_recipe_may_ask_for_is_built(change: tuple[str, ...]) -> None:
    recipe = small("cub200_hdhe", *change)
    found = dry_run(recipe, silent)
    assert math.isfinite(found.loss)
    text = text_of(found, recipe)
    assert ("auto_lr trains again" in text) == (recipe.auto_lr is not None)
    assert ("trials of pruning" in text) == (recipe.network.prune_until == "auto")
    if recipe.validation.holdout is not None:
        assert found.training == Count(round(5864 * 0.7), 70)
        assert "about " in text
        assert "held-out" in found.scored


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("classes", [2, 7, 100])
def test_what_is_held_out_is_what_a_real_run_holds_out(share: float, classes: int) -> None:
    records = [Record(Path(str(n)), f"{n % classes:03d}", "train") for n in range(3 * classes)]
    rest, _ = holdout_classes(Subset.of("s", records), share, seed=0)
    recipe = small("cub200_hdhe", f"validation.holdout={share}")
    assert trained_on(recipe, {"train": Count(3 * classes, classes)}) == Count(len(rest), len(rest.classes))


@pytest.mark.parametrize("batch", [2, 12, 40, 500, 2000])
@pytest.mark.parametrize("holdout", ["null", "0.5"])
def test_a_whole_batch_of_images_is_made_up(batch: int, holdout: str) -> None:
    recipe = small("cub200_hdhe", f"batch={batch}", f"validation.holdout={holdout}")
    real = DATASETS["cub200"].counts
    made_up = made_up_counts(recipe, real)
    assert made_up.keys() == real.keys()
    left = trained_on(recipe, made_up)
    assert left.images >= batch
    assert left.classes >= 2
    assert made_up["train"].classes <= real["train"].classes


def test_steps_are_those_of_the_sampler() -> None:
    plain, balanced = small("cub200_hdhe"), small("cub200_hdhe", "sampler.images_per_class=4")
    learned = Count(1000, 10)
    assert steps_of(plain, learned) == math.ceil(1000 / 12)
    assert steps_of(balanced, learned) == pytest.approx(1000 / 12, abs=2)
    assert trained_on(small("inshop_hdhe", "data.split=all"), DATASETS["inshop"].counts) == Count(
        52_712, 7_982
    )
    rooms = small("cub200_hdhe", "data.name=mit67", "data.split=all")
    assert trained_on(rooms, DATASETS["mit67"].counts) == Count(6_700, 67)


def test_a_set_whose_splits_share_their_classes_is_made_up_too() -> None:
    found = dry_run(small("cub200_hdhe", "data.name=cifar10", "validation.split=null"), silent)
    assert found.training == Count(50_000, 10)
    assert found.made_up["test"].classes == found.made_up["train"].classes


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cub200_hdhe", "data.name=/photos", "makes up the images of a known data set"),
        ("cub200_hdhe", "data.split=trian", "has no split 'trian'"),
        ("cub200_hdhe", "validation.split=train", "trained on"),
    ],
)
def test_mistakes_are_those_of_a_real_run(name: str, change: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dry_run(small(name, change), silent)


def test_neither_data_nor_weights_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDHE_DATA", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", None)
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(train)
    sets = [part for change in SMALL for part in ("--set", change)]
    result = CliRunner().invoke(app, ["cub200_single", "--dry-run", *sets])
    assert result.exception is None, result.exception
    assert result.stdout.startswith("cub200_single: dry run")
    assert "nothing for this recipe itself" in result.stdout  # of another backbone
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [("--resume",), ("--out", "here")])
def test_a_dry_run_has_no_folder(option: tuple[str, ...]) -> None:
    app = typer.Typer()
    app.command()(train)
    with pytest.raises(UserError, match="keeps nothing"):
        CliRunner().invoke(app, ["cub200_single", "--dry-run", *option], catch_exceptions=False)


def test_neighbours_of_one_owner_and_rate_are_joined() -> None:
    groups = [
        ("trunk.stem", 1.0, 1),
        ("trunk.block1", 1.0, 2),
        ("trunk.block2", 2.0, 3),
        ("head1.block3", 2.0, 4),
    ]
    assert list(joined(groups)) == [
        ("trunk.stem to trunk.block1", 1.0, 3),
        ("trunk.block2", 2.0, 3),
        ("head1.block3", 2.0, 4),
    ]


PUBLISHED = [
    name for name in packaged_recipes() if name.split("_")[0] in ("cub200", "cars196", "sop", "inshop")
]
PRESETS = ("single", "pruned", "pruned_star", "hdhe", "ms_hdhe", "tri_hdhe")


def test_each_published_set_has_a_recipe_for_each_network() -> None:
    wanted = {f"{data}_{preset}" for data in ("cub200", "cars196", "sop", "inshop") for preset in PRESETS}
    assert wanted <= set(PUBLISHED)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PUBLISHED if "dev" not in name])
def test_each_recipe_for_a_published_set_takes_a_step_at_fewer_pixels(name: str) -> None:
    recipe = load_recipe(name, ["images.pixels=64", "images.resize=72", "batch=8"])
    found = dry_run(recipe, silent)
    assert np.isfinite(found.loss)
    assert recipe.network.backbone == "resnet50"
    assert found.real == DATASETS[recipe.data.name].counts
