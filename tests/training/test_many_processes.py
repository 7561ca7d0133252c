"""Two processes train as one does: the same loss in each epoch and the same weights in the end, within rounding."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.training.runs import ROOT, largest_difference, losses, same, train_job, weights
from tests.training.two_processes import TwoProcesses
from training.checkpoint import Progress, checkpoints, save_checkpoint
from training.loop import train
from training.recipe import Recipe
from training.run_folder import RunFolder

Make = Callable[..., Recipe]

# 26 images in batches of 14 and 12. Training multiplies what rounding makes different, so that rates are low and no
# batch is tiny: norms over two images turn a change of 1e-7 in the weights into one of 1e-2, in one process too.
SHORT = (
    "batch=14",
    "network={backbone: mobilenet_v3_small, preset: single, weights: none}",
    "schedule={epochs: 2, average: 0.9}",
    "validation={split: validation, k: [1], every: 2}",
    "optimiser={lr: 1e-4, classifier_lr: 1e-3}",
)
RUNS = {
    # Batch norm and dropout in the network and the class block; random crops and colours.
    "classes": ("images={pixels: 32, crop: {scale: [0.5, 1]}, colour: {strength: 0.3}}",),
    # A miner that draws at random among all pairs of the batch, and a loss with weights of its own.
    "pairs": (
        "network.reduction=linear",
        "loss={name: margin, settings: {learn_beta: true}}",
        "sampler={images_per_class: 7}",
        "schedule.epochs=1",
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


class StoppedError(Exception):
    pass


def save_and_stop(folder: Path, accelerator: Any, progress: Progress) -> None:
    save_checkpoint(folder, accelerator, progress)
    raise StoppedError


def stopped_job(recipe: Path, out: Path, *overrides: str) -> None:
    """Train until the first checkpoint is written, in all processes, and no further."""
    with patch("training.loop.save_checkpoint", save_and_stop), suppress(StoppedError):
        train_job(recipe, out, *overrides)


@pytest.mark.slow
def test_a_run_goes_on_with_any_number_of_processes(
    tmp_path: Path, make_recipe: Make, both: TwoProcesses
) -> None:
    overrides = (*SHORT, *RUNS["classes"])
    train(make_recipe(*overrides), tmp_path / "one")
    both.run(train_job, tmp_path / "tiny.yaml", tmp_path / "whole", *overrides)
    both.run(stopped_job, tmp_path / "tiny.yaml", tmp_path / "two", *overrides)
    assert not RunFolder(tmp_path / "two").finished
    shutil.copytree(tmp_path / "two", tmp_path / "alone")

    both.run(resumed_job, tmp_path / "tiny.yaml", tmp_path / "two", *overrides)
    assert same(weights(tmp_path / "two"), weights(tmp_path / "whole"))
    train(make_recipe(*overrides), tmp_path / "alone", resume=True)
    assert largest_difference(weights(tmp_path / "one"), weights(tmp_path / "alone")) < 1e-5
    assert losses(tmp_path / "alone") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


def resumed_job(recipe: Path, out: Path, *overrides: str) -> None:
    train_job(recipe, out, *overrides, resume=True)


LAUNCHER = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def launched(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """`hdhe train` of the tiny recipe under torchrun, into `run`."""
    settings = [part for override in SHORT for part in ("--set", override)]
    command = [*LAUNCHER, str(ROOT / "hdhe.py"), "train", "tiny.yaml", "--out", "run", *settings, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True, **pipes)  # type: ignore[call-overload,no-any-return]  # pipes


@pytest.mark.slow
def test_torchrun_killed_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, make_recipe: Make, both: TwoProcesses
) -> None:
    make_recipe()
    both.run(train_job, tmp_path / "tiny.yaml", tmp_path / "whole", *SHORT)
    with launched(tmp_path, "--set", "machine.checkpoint_minutes=0") as child:
        until = time.monotonic() + 300
        while len(checkpoints(RunFolder(tmp_path / "run").checkpoints)) < 2:
            assert child.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.002)
        os.killpg(child.pid, signal.SIGKILL)
    with launched(tmp_path, "--resume") as child:
        out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    # Only the first process says where the model is, and what it does.
    assert out.splitlines() == ["run/bundle"]
    assert err.count("the model of epoch 2 is") == 1
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "batch=5",
            "batch is 5, over all processes, and 2 of them cannot share it evenly; set batch to 4 or 6",
        ),
        ("data.name=nowhere", "nowhere"),
        ("optimiser.lr=1e30", "lower optimiser.lr"),
    ],
)
def test_what_stops_a_run_is_said_once(
    override: str, message: str, tmp_path: Path, make_recipe: Make
) -> None:
    make_recipe()
    with launched(tmp_path, "--set", override) as child:
        _, err = child.communicate(timeout=300)
    assert child.returncode != 0
    said = [line for line in err.splitlines() if line.startswith("hdhe: ")]
    assert len(said) == 1
    assert message in said[0]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run(tmp_path: Path, make_recipe: Make) -> None:
    make_recipe()
    with launched(tmp_path, "--set", "schedule.epochs=200") as child:
        until = time.monotonic() + 300
        while not checkpoints(RunFolder(tmp_path / "run").checkpoints):
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        _, err = child.communicate(timeout=120)
    assert child.returncode != 0
    assert "Traceback" not in "".join(line for line in err.splitlines() if "hdhe.py" in line)
