"""`hdhe train` at the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from retrieval.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(tmp_path: Path, recipe_text: str) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(recipe_text)
    return path


def test_it_prints_the_bundle_and_takes_overrides(
    app: typer.Typer, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        app, ["train", str(recipe), "--set", "schedule.epochs=1", "--set", "name=mine"]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == "runs/mine/bundle\n"
    assert "epoch 1/1: loss" in result.stderr
    assert (tmp_path / "runs/mine/bundle/model.json").is_file()


def test_a_users_mistake_reaches_the_front_door_as_one_line(app: typer.Typer, recipe: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(recipe), "--set", "batch=none"])
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith("batch: should be a valid integer")


def test_a_failure_exits_with_1_and_one_line(app: typer.Typer, recipe: Path, tmp_path: Path) -> None:
    overrides = ["--set", "optimiser.lr=1e30", "--set", "optimiser.classifier_lr=1e30"]
    result = CliRunner().invoke(app, ["train", str(recipe), "--out", str(tmp_path / "run"), *overrides])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("hdhe: ")
    assert "Traceback" not in result.output


def test_ctrl_c_says_how_to_go_on(recipe: Path, tmp_path: Path) -> None:
    # Whoever runs the tests in the background may have Ctrl-C ignored, which a child would inherit.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import typer, training.commands as c; a = typer.Typer(); c.register(a); a(standalone_mode=False)"
    )
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            program,
            "train",
            str(recipe),
            "--out",
            str(tmp_path / "run"),
            "--set",
            "schedule.epochs=500",
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 120
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    finally:
        child.kill()
        child.communicate()
    assert "hdhe: stopped; the same command with --resume goes on" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
