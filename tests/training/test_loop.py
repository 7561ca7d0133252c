"""The whole of training on tiny images: what a run leaves, what it learns, and that it survives kill -9."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from retrieval.bundle import load_bundle
from retrieval.errors import UserError
from tests.training.runs import killed_run, same, weights
from training.checkpoint import checkpoints
from training.failure import TrainingFailedError
from training.loop import train
from training.metrics import read_metrics
from training.objective import ObjectiveResult
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.summed_heads import SummedHeads

Make = Callable[..., Recipe]


def test_a_run_leaves_all_it_promises(tmp_path: Path, make_recipe: Make) -> None:
    lines: list[str] = []
    recipe = make_recipe()
    bundle_folder = train(recipe, tmp_path / "run", report=lines.append)
    assert bundle_folder == tmp_path / "run" / "bundle"
    folder = RunFolder(tmp_path / "run")
    assert folder.finished
    assert folder.curves.stat().st_size > 1000
    assert any(folder.tensorboard.iterdir())
    metrics = read_metrics(folder)
    assert [line["epoch"] for line in metrics] == [1, 2, 3]
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    # Half of 3 epochs is 1.5, so the drop has come by the last step of the second.
    assert [line["rates"]["trunk.stem"] for line in metrics] == pytest.approx([5e-3, 5e-4, 5e-4])

    bundle = load_bundle(bundle_folder)
    assert bundle.preprocessing.pixels == 32
    assert bundle.recipe["optimiser"]["lr"] == 0.01
    assert bundle.pretraining == "none (random weights)"
    (score,) = bundle.scores
    assert score == metrics[-1]["validation"]
    assert score["queries"] == 26
    assert not any("classifier" in name for name in weights(tmp_path / "run"))
    assert sum(line.startswith("epoch ") for line in lines) == 3


def test_it_learns_what_can_be_learned(tmp_path: Path, make_recipe: Make) -> None:
    train(make_recipe("schedule.epochs=6", "optimiser.lr=0.05", "schedule.warmup_epochs=1"), tmp_path / "run")
    assert max(read_metrics(RunFolder(tmp_path / "run"))[-1]["accuracy"]) > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tmp_path: Path, make_recipe: Make
) -> None:
    short = "schedule.epochs=1"
    for name, recipe in {
        "one": make_recipe(short),
        "two": make_recipe(short, "machine.cache_gb=0", "machine.workers=2", "machine.checkpoint_minutes=0"),
        "three": make_recipe(short, "seed=1"),
    }.items():
        train(recipe, tmp_path / name)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two")), "machine settings change no result"
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "three"))


@pytest.mark.parametrize(
    ("minutes", "epoch"),
    [("0", 1), ("null", 1)],
    ids=["checkpoint after each step", "checkpoint after each epoch"],
)
def test_killed_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, make_recipe: Make, minutes: str, epoch: int
) -> None:
    override = f"machine.checkpoint_minutes={minutes}"
    recipe = make_recipe(override, "schedule.epochs=3")
    through, killed = tmp_path / "through", tmp_path / "killed"
    train(recipe, through)

    def mid_epoch() -> bool:
        found = checkpoints(killed / "checkpoint")
        if minutes == "null":
            return bool(found)  # the next epoch has begun
        return any(path.name > f"epoch{epoch:05d}-step0000001" for path in found)

    killed_run(tmp_path / "tiny.yaml", killed, mid_epoch, override, "schedule.epochs=3")
    assert not RunFolder(killed).finished
    train(recipe, killed, resume=True)
    assert same(weights(through), weights(killed))
    assert load_bundle(through / "bundle").fingerprint == load_bundle(killed / "bundle").fingerprint

    def without_times(out: Path) -> list[str]:
        lines = read_metrics(RunFolder(out))
        return [json.dumps({k: v for k, v in line.items() if "second" not in k}) for line in lines]

    assert without_times(through) == without_times(killed)


def test_killed_with_all_that_keeps_state_it_ends_with_the_same_bits(
    tmp_path: Path, make_recipe: Make
) -> None:
    overrides = (
        "machine.checkpoint_minutes=0",
        "schedule={epochs: 3, average: 0.9, frozen_epochs: 1}",
        "images.crop={scale: [0.5, 1]}",
        "sampler={images_per_class: 2, hard_classes: 1}",
        "batch=4",
        "network={norm: layer, backbone: mobilenet_v3_small, preset: hdhe, weights: none}",
        "optimiser={kind: adamw, lr: 1e-3, clip_value: 1}",
        "loss={name: soft_triple, pair: {name: multi_similarity}, mixup: {}, distil_heads: {}}",
    )
    recipe = make_recipe(*overrides)
    through, killed = tmp_path / "through", tmp_path / "killed"
    train(recipe, through)

    def in_the_second_epoch() -> bool:
        found = checkpoints(killed / "checkpoint")
        return any("epoch00001-step0000001" < path.name < "epoch00002" for path in found)

    killed_run(tmp_path / "tiny.yaml", killed, in_the_second_epoch, *overrides)
    assert not RunFolder(killed).finished
    train(recipe, killed, resume=True)
    assert same(weights(through), weights(killed))


def test_killed_before_the_first_checkpoint_it_starts_over(tmp_path: Path, make_recipe: Make) -> None:
    recipe = make_recipe("schedule.epochs=1")
    RunFolder(tmp_path / "run").open(recipe, resume=False)
    train(recipe, tmp_path / "run", resume=True)
    train(recipe, tmp_path / "fresh")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "fresh"))


def test_a_finished_run_is_returned_at_once(tmp_path: Path, make_recipe: Make) -> None:
    recipe = make_recipe("schedule.epochs=1")
    train(recipe, tmp_path / "run")
    written = (tmp_path / "run" / "bundle" / "model.json").stat().st_mtime_ns
    train(recipe, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "bundle" / "model.json").stat().st_mtime_ns == written


def test_a_loss_that_is_not_a_number_fails_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe()
    calls = 0

    whole = SummedHeads.forward

    def breaks_in_the_second_epoch(
        self: SummedHeads, features: tuple[torch.Tensor, ...], labels: torch.Tensor
    ) -> ObjectiveResult:
        nonlocal calls
        calls += 1
        result = whole(self, features, labels)
        return replace(result, loss=result.loss * (float("nan") if calls == 8 else 1))

    monkeypatch.setattr(SummedHeads, "forward", breaks_in_the_second_epoch)
    with pytest.raises(
        TrainingFailedError, match=r"nan in epoch 2, step 3; lower optimiser\.lr \(now 0\.01\)"
    ) as caught:
        train(recipe, tmp_path / "run")
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    train(recipe, tmp_path / "run", resume=True)
    train(recipe, tmp_path / "through")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "through"))


def test_rates_far_too_high_fail_in_one_line(tmp_path: Path, make_recipe: Make) -> None:
    with pytest.raises(TrainingFailedError, match=r"lower optimiser\.lr"):
        train(make_recipe("optimiser.lr=1e30", "optimiser.classifier_lr=1e30"), tmp_path / "run")
    assert not RunFolder(tmp_path / "run").finished


def test_best_keeps_the_epoch_with_the_best_recall_of_held_out_classes(
    tmp_path: Path, make_recipe: Make
) -> None:
    recipe = make_recipe(
        "data.split=all",
        "validation.split=null",
        "validation.holdout=0.5",
        "validation.keep=best",
        "schedule.epochs=4",
    )
    train(recipe, tmp_path / "run")
    lines = read_metrics(RunFolder(tmp_path / "run"))
    recalls = [line["validation"]["recall"]["1"] for line in lines]
    (score,) = load_bundle(tmp_path / "run" / "bundle").scores
    assert score["epoch"] == 1 + recalls.index(max(recalls))
    assert score["data"].endswith("held-out")
    best = load_file(tmp_path / "run" / "best.safetensors")
    assert same(best, weights(tmp_path / "run"))


def test_frozen_groups_leave_training_untouched(tmp_path: Path, make_recipe: Make) -> None:
    for epochs in (1, 2):
        train(make_recipe("network.freeze_until=B1", f"schedule.epochs={epochs}"), tmp_path / str(epochs))
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    frozen = [name for name in one if name.startswith(("trunk.stem", "trunk.groups.B1"))]
    assert frozen
    assert all(torch.equal(one[name], two[name]) for name in frozen)
    assert not torch.equal(
        one["heads.0.groups.B4.0.block.0.0.weight"], two["heads.0.groups.B4.0.block.0.0.weight"]
    )


def test_bf16_trains_too(tmp_path: Path, make_recipe: Make) -> None:
    train(make_recipe("precision=bf16", "schedule.epochs=1"), tmp_path / "run")
    stored = weights(tmp_path / "run")
    assert all(value.dtype in (torch.float32, torch.int64) for value in stored.values())
    assert all(bool(torch.isfinite(value).all()) for value in stored.values())


def test_data_that_cannot_be_trained_on(tmp_path: Path, make_recipe: Make, photos: Path) -> None:
    for number, (overrides, message) in enumerate(
        [
            (["batch=30"], "batch is 30, but .* has 26 images; set batch to 26 or less"),
            (["data.split=all"], "validation needs classes of its own"),
            (["data.split=nowhere"], "no split 'nowhere'"),
            (["data.name=/nowhere"], "/nowhere"),
            (["validation.holdout=0.5", "validation.split=null"], "training needs two or more"),
            (["optimiser.block_factors=[1, 2]"], "has 2 factors"),
            (["network.weights=/nowhere.pth"], r"/nowhere\.pth"),
        ]
    ):
        with pytest.raises(UserError, match=message) as caught:
            train(make_recipe(*overrides), tmp_path / str(number))
        assert "\n" not in str(caught.value)


def test_a_damaged_image_is_reported_and_left_out(tmp_path: Path, make_recipe: Make) -> None:
    data = tmp_path / "data"
    for label in ("a", "b"):
        (data / label).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (40, 40), (60 * number, 9, 200)).save(data / label / f"{number}.png")
    (data / "a" / "torn.png").write_bytes((data / "a" / "0.png").read_bytes()[:60])
    lines: list[str] = []
    overrides = [f"data.name={data}", "data.split=all", "validation.split=null", "schedule.epochs=1"]
    train(make_recipe(*overrides), tmp_path / "run", report=lines.append)
    assert any("torn.png" in line for line in lines)
    assert any("8 images of 2 classes" in line for line in lines)
    assert load_bundle(tmp_path / "run" / "bundle").scores == []

    Image.new("RGB", (40, 40)).save(data / "a" / "torn.png")
    (tmp_path / "run" / "bundle" / "model.json").unlink()
    with pytest.raises(UserError, match=r"are not those that .* was started with"):
        train(make_recipe(*overrides), tmp_path / "run", resume=True)


def test_a_depth_is_chosen_and_trained(tmp_path: Path, make_recipe: Make) -> None:
    recipe = make_recipe(
        "network={backbone: mobilenet_v3_small, preset: single, weights: none, prune_until: auto}",
        "data.split=all",
        "validation={holdout: 0.5, k: [1]}",
        "schedule={epochs: 1}",
        "pruning={epochs: 1}",
    )
    train(recipe, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert (folder.pruning / "choice.md").read_text().count("chosen") == 1
    assert isinstance(load_bundle(folder.bundle).recipe["network"]["prune_until"], int)
    # The run resumes by the recipe that the user wrote.
    shutil.rmtree(folder.bundle)
    train(recipe, tmp_path / "run", resume=True)
    assert folder.finished


def test_scores_may_be_taken_at_another_size(tmp_path: Path, make_recipe: Make) -> None:
    train(make_recipe("images={pixels: 32, scored_pixels: 40}", "schedule={epochs: 1}"), tmp_path / "run")
    bundle = load_bundle(tmp_path / "run" / "bundle")
    assert bundle.preprocessing.pixels == 40
    assert bundle.scores[0]["pixels"] == 40
