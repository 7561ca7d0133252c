"""Two processes train as one does: the same loss in each epoch and the same weights in the end, within rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.runs import largest_difference, losses, train_job, weights
from tests.training.two_processes import TwoProcesses
from training.loop import train
from training.recipe import Recipe

Make = Callable[..., Recipe]

# 26 images in batches of 8, 8, 8 and 2. Rates are low, because training multiplies what rounding makes different.
SHORT = (
    "batch=8",
    "schedule={epochs: 2, average: 0.9}",
    "validation={split: validation, k: [1], every: 2}",
    "optimiser={lr: 1e-4, classifier_lr: 1e-3}",
)
RUNS = {
    # Batch norm and dropout in the trunk, the heads and the class blocks; random crops and colours.
    "classes": ("images={pixels: 32, crop: {scale: [0.5, 1]}, colour: {strength: 0.3}}",),
    # A miner that draws at random among all pairs of the batch, and a loss with weights of its own.
    "pairs": (
        "network={backbone: mobilenet_v3_small, preset: single, weights: none, reduction: linear}",
        "loss={name: margin, settings: {learn_beta: true}}",
        "sampler={images_per_class: 4}",
    ),
}


@pytest.mark.parametrize("kind", RUNS)
def test_two_processes_train_as_one_does(
    kind: str, tmp_path: Path, make_recipe: Make, both: TwoProcesses
) -> None:
    overrides = (*SHORT, *RUNS[kind])
    train(make_recipe(*overrides), tmp_path / "one")
    both.run(train_job, tmp_path / "tiny.yaml", tmp_path / "two", *overrides)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    assert largest_difference(weights(tmp_path / "one"), weights(tmp_path / "two")) < 1e-5
