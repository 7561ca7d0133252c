"""Whole training runs for tests: one that is killed, and what two of them have in common."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from training.metrics import read_metrics
from training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]

CHILDREN = {
    "train": """
import sys
from pathlib import Path
from training.loop import train
from training.recipe_file import load_recipe
train(load_recipe(sys.argv[1], sys.argv[3:]), Path(sys.argv[2]))
""",
    "distill": """
import sys
from pathlib import Path
from training.distillation.loop import distill
from training.distillation.recipe import DistillationRecipe
from training.recipe_file import load_recipe_of
distill(load_recipe_of(DistillationRecipe, sys.argv[1], sys.argv[3:]), Path(sys.argv[2]))
""",
}


def killed_run(
    recipe: Path, out: Path, ready: Callable[[], bool], *overrides: str, kind: str = "train"
) -> None:
    """Train or distill in a process of its own and kill -9 it as soon as `ready`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILDREN[kind], str(recipe), str(out), *overrides], env=environment, cwd=ROOT
    )
    try:
        until = time.monotonic() + 120
        while not ready():
            assert child.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.002)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


def weights(out: Path) -> dict[str, torch.Tensor]:
    """Those of a finished run's bundle."""
    return load_file(out / "bundle" / "weights.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two networks are equal to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train_job(recipe: Path, out: Path, *overrides: str, resume: bool = False) -> None:
    """Train, as a job of `two_processes`."""
    from training.loop import train
    from training.recipe_file import load_recipe

    train(load_recipe(recipe, overrides), out, resume=resume)


def distill_job(recipe: Path, out: Path, *overrides: str) -> None:
    """Distil, as a job of `two_processes`."""
    from training.distillation.loop import distill
    from training.distillation.recipe import DistillationRecipe
    from training.recipe_file import load_recipe_of

    distill(load_recipe_of(DistillationRecipe, recipe, overrides), out)


def losses(out: Path) -> list[float]:
    """A run's loss, epoch by epoch."""
    return [line["loss"] for line in read_metrics(RunFolder(out))]


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Between two networks' weights and statistics, over the largest weight."""
    assert one.keys() == other.keys()
    apart = max(float((one[name].double() - other[name].double()).abs().max()) for name in one)
    return apart / max(float(value.double().abs().max()) for value in one.values())
