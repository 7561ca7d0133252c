"""The search for a pruning depth, with a stand-in for training whose recalls and variations are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from retrieval.errors import UserError
from retrieval.networks import build_ensemble, preset_spec
from training.auto_lr.weight_variation import block_kernels, weight_variation
from training.loop import train
from training.metrics import read_metrics
from training.pruning import (
    PruningChoice,
    Report,
    candidates,
    choose_pruning,
    pruned_recipe,
    table,
    trial_recipe,
)
from training.recipe import Recipe
from training.recipe_file import RecipeError
from training.run_folder import RunFolder, write_weights
from training.sections.whitening import WhiteningSection

Make = Callable[..., Recipe]

WHOLE = 12
"""MobileNetV3-small has 11 blocks, so that 12 removes none."""

AUTO = ["network.preset=single", "network.prune_until=auto", "validation.split=null"]


class StandIn:
    """Leaves what a trained run leaves, with a recall by depth; every weight of a block moves by that block's step."""

    def __init__(self, recalls: dict[int, float], steps: dict[int, float]) -> None:
        self.recalls, self.steps = recalls, steps
        self.trained: list[tuple[int, bool]] = []

    def __call__(
        self, recipe: Recipe, out: Path, *, resume: bool = False, report: Report | None = None
    ) -> Path:
        k = recipe.network.prune_until
        assert isinstance(k, int)
        self.trained.append((k, resume))
        folder = RunFolder(out)
        folder.open(recipe, resume=resume)
        torch.manual_seed(recipe.seed)
        network = build_ensemble(recipe.network.spec(), weights=recipe.network.source)
        with torch.no_grad():
            for block in network.parameter_blocks():
                for _, parameter in block.parameters:
                    parameter.add_(self.steps.get(block.block, 0.01))
        folder.bundle.mkdir()
        write_weights(folder.bundle / "weights.safetensors", network.state_dict())
        line = {"epoch": recipe.schedule.epochs, "validation": {"recall": {"1": self.recalls[k]}}}
        folder.metrics.write_text(json.dumps(line) + "\n")
        return folder.bundle


def say_nothing(line: str) -> None:
    pass


def search(recipe: Recipe, out: Path, stand_in: StandIn) -> PruningChoice:
    return choose_pruning(recipe, out, say_nothing, train=stand_in)


STEPS = {11: 1e-6, 10: 1e-6, 9: 1e-6, 8: 1e-6}


def test_blocks_go_from_the_top_until_recall_drops(tmp_path: Path, make_recipe: Make) -> None:
    """As on the slides: 63.5 whole, 67.0 until the last, 67.0 until the one before, then 51.0."""
    stand_in = StandIn({WHOLE: 0.635, 11: 0.6695, 10: 0.67, 9: 0.51}, STEPS)
    lines: list[str] = []
    choice = choose_pruning(make_recipe(*AUTO), tmp_path / "search", lines.append, train=stand_in)
    assert choice.prune_until == 10
    assert choice.why == "recall drops without block 9"
    assert [(depth.prune_until, depth.recall, depth.drops) for depth in choice.depths] == [
        (WHOLE, 0.635, False),
        (11, 0.6695, False),
        (10, 0.67, False),
        (9, 0.51, True),
    ]
    sizes = [depth.parameters for depth in choice.depths]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4
    assert lines[-1] == "prune_until 10 of 11 blocks: recall drops without block 9"
    assert lines[0] == "whole network: R@1 63.5 of held-out classes"


def test_variations_are_those_of_the_whole_networks_trial(tmp_path: Path, make_recipe: Make) -> None:
    choice = search(make_recipe(*AUTO), tmp_path, StandIn({WHOLE: 0.5, 11: 0.1}, STEPS))
    network = build_ensemble(preset_spec("single", "mobilenet_v3_small"), weights=None)
    state = network.state_dict()
    for block, names in block_kernels(network).items():
        step = STEPS.get(block, 0.01)
        before = [torch.zeros_like(state[name]) for name in names]
        expected = weight_variation(before, [kernel + step for kernel in before])
        assert choice.variations[block] == pytest.approx(
            expected, rel=0.05
        )  # float32 weights round small steps
    assert choice.depths[1].variation == choice.variations[11]


def test_recall_may_fall_by_the_tolerance_from_the_best_so_far(tmp_path: Path, make_recipe: Make) -> None:
    recalls = {WHOLE: 0.60, 11: 0.595, 10: 0.591, 9: 0.589, 8: 0.7}
    assert search(make_recipe(*AUTO), tmp_path / "default", StandIn(recalls, STEPS)).prune_until == 10
    strict = make_recipe(*AUTO, "pruning.tolerance=0")
    assert search(strict, tmp_path / "strict", StandIn(recalls, STEPS)).prune_until == WHOLE
    loose = search(make_recipe(*AUTO, "pruning.tolerance=0.02"), tmp_path / "loose", StandIn(recalls, STEPS))
    assert loose.prune_until == 8
    assert loose.why == "no block of small variation is left above what a head needs"


def test_only_blocks_of_small_variation_are_candidates(make_recipe: Make) -> None:
    recipe = make_recipe(*AUTO)
    variations = {block: float(100 - block) for block in range(1, 12)}
    assert candidates(recipe, variations) == [11, 10, 9, 8, 7]  # below the median, which is block 6's
    assert candidates(recipe, variations | {10: 99.0}) == [11]
    assert candidates(recipe, variations | {11: 99.0}) == []
    assert candidates(make_recipe(*AUTO, "pruning.small=0.9701"), variations) == [11, 10, 9]
    # B1 has one block and one of B2 must stay.
    assert candidates(make_recipe(*AUTO, "pruning.small=100"), variations) == [11, 10, 9, 8, 7, 6, 5, 4, 3]
    # Frozen groups do not vary, are not counted, and keep a block above them.
    frozen = variations | dict.fromkeys((1, 2, 3), 0.0)
    assert candidates(make_recipe(*AUTO, "network.freeze_until=B2"), frozen) == [11, 10, 9, 8]
    everything = make_recipe(*AUTO, "network.freeze_until=B2", "pruning.small=100")
    assert candidates(everything, frozen) == [11, 10, 9, 8, 7, 6, 5]


def test_a_trial_is_short_and_scored_on_held_out_training_classes(make_recipe: Make) -> None:
    recipe = make_recipe(
        *AUTO,
        "schedule={epochs: 30, warmup_epochs: 5, frozen_epochs: 10}",
        "validation.split=validation",
        "validation.every=7",
        "auto_lr={}",
        "pruning={epochs: 6, holdout: 0.3}",
    )
    trial = trial_recipe(recipe.model_copy(update={"whitening": WhiteningSection(size=10**6)}), 9)
    assert trial.whitening is None, "nor could it be so long"
    assert trial.network.prune_until == 9
    assert (trial.schedule.epochs, trial.schedule.warmup_epochs, trial.schedule.frozen_epochs) == (6, 1, 2)
    assert (trial.validation.split, trial.validation.holdout, trial.validation.every) == (None, 0.3, 6)
    assert trial.auto_lr is None
    assert trial.optimiser == recipe.optimiser
    held = make_recipe(*AUTO, "validation.holdout=0.5", "validation.keep=best")
    assert trial_recipe(held, 9).validation.holdout == 0.5


def test_a_search_that_was_killed_goes_on_where_it_was(tmp_path: Path, make_recipe: Make) -> None:
    recipe = make_recipe(*AUTO)
    recalls = {WHOLE: 0.5, 11: 0.5, 10: 0.1}

    class Killed(StandIn):
        def __call__(
            self, recipe: Recipe, out: Path, *, resume: bool = False, report: Report | None = None
        ) -> Path:
            if recipe.network.prune_until == 11:
                RunFolder(out).open(recipe, resume=resume)
                raise KeyboardInterrupt
            return super().__call__(recipe, out, resume=resume, report=report)

    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path, Killed(recalls, STEPS))
    assert not (tmp_path / "choice.json").exists()

    class Resumed(StandIn):
        """As `train`: a finished run is returned as it is."""

        def __call__(
            self, recipe: Recipe, out: Path, *, resume: bool = False, report: Report | None = None
        ) -> Path:
            if RunFolder(out).bundle.exists():
                self.trained.append((-1, resume))
                return RunFolder(out).bundle
            return super().__call__(recipe, out, resume=resume, report=report)

    resumed = Resumed(recalls, STEPS)
    choice = search(recipe, tmp_path, resumed)
    assert resumed.trained == [(-1, True), (11, True), (10, False)]
    assert choice.prune_until == 11

    again = StandIn({}, STEPS)
    assert search(recipe, tmp_path, again) == choice
    assert again.trained == []


def test_the_table_for_people(tmp_path: Path, make_recipe: Make) -> None:
    choice = search(make_recipe(*AUTO), tmp_path, StandIn({WHOLE: 0.5, 11: 0.505, 10: 0.1}, STEPS))
    text = (tmp_path / "choice.md").read_text()
    assert text == table(choice)
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [[cell.strip() for cell in row.split("|")[1:3]] for row in rows] == [
        ["none", "50.00"],
        ["11", "50.50"],
        ["10", "10.00"],
    ]
    assert [row.split("|")[-2].strip() for row in rows] == ["", "chosen", "drops"]
    assert "Recall drops without block 10." in text


def test_the_recipe_that_is_then_trained(tmp_path: Path, make_recipe: Make) -> None:
    recipe = make_recipe(*AUTO)
    choice = search(recipe, tmp_path, StandIn({WHOLE: 0.5, 11: 0.5, 10: 0.1}, STEPS))
    chosen = pruned_recipe(recipe, choice)
    assert chosen == make_recipe(*AUTO, "network.prune_until=11")
    assert len(choice.variations) == 11
    assert chosen.network.spec().heads[0].last_block == "res4_2"


def test_what_cannot_be_searched(tmp_path: Path, make_recipe: Make) -> None:
    rates = make_recipe(*AUTO, f"optimiser.block_factors={[1] * 11}")
    with pytest.raises(UserError, match="is a list, which fits one depth only") as caught:
        search(rates, tmp_path, StandIn({}, {}))
    assert "\n" not in str(caught.value)
    for override, message in [
        ("network.prune_until=auto", "network: prune_until needs a network of one head, and this one has 2"),
        ("network.prune_until=11", "network: prune_until needs a network of one head"),
        (
            "network={preset: single, backbone: resnet50, prune_until: 4}",
            "must be from 5 to 17 for the 16 blocks",
        ),
        ("network={preset: single, prune_until: some}", "network.prune_until"),
        ("auto_lr={}", "auto_lr finds the rates of one chain of blocks, and this network has 2 heads"),
    ]:
        with pytest.raises(RecipeError) as wrong:
            make_recipe(override)
        assert message in str(wrong.value)
        assert "\n" not in str(wrong.value)


def test_a_real_search_on_tiny_images(tmp_path: Path, make_recipe: Make) -> None:
    recipe = make_recipe(*AUTO, "data.split=all", "pruning={epochs: 1, holdout: 0.5, tolerance: 0.05}")
    choice = choose_pruning(recipe, tmp_path / "search", say_nothing, train=train)
    assert choice.depths[0].prune_until == WHOLE
    for depth in choice.depths:
        name = "whole" if depth.prune_until == WHOLE else f"until_{depth.prune_until}"
        (line,) = read_metrics(RunFolder(tmp_path / "search" / name))
        assert line["validation"]["recall"]["1"] == depth.recall
        assert line["validation"]["data"].endswith("held-out")
    assert all(value > 0 for value in choice.variations.values())
    assert choose_pruning(recipe, tmp_path / "search", say_nothing, train=train) == choice
