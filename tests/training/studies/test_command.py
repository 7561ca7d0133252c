"""`hdhe study` at the command line."""

from __future__ import annotations

import json
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

ROOT = Path(__file__).parents[3]


@pytest.fixture
def arguments(photos: Path, tiny_file: Path, tmp_path: Path) -> list[str]:
    return [
        "study", "sharing", "--data", str(photos), "--backbone", "efficientnet_lite0",
        "--recipe", str(tiny_file), "--set", "network.weights=none", "--set", "images.pixels=32",
        "--out", str(tmp_path / "study"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--seeds", "0"], "--seeds must be 1 or more"),
        (["--jobs", "0"], "--jobs must be 1 or more"),
        (["--rows", "until B9"], "no row 'until B9'; its rows are until B1, until B2, until B3"),
        (["--rows", ","], "--rows names no row"),
        (["--backbone", "resnet51"], "backbone must be one of"),
        (["--data", "nowhere"], "nowhere"),
        (["--recipe", "nowhere"], "there is no recipe nowhere"),
        (["--set", "batch=none"], "batch"),
        (["--root", "nowhere"], "--root goes with a known data set"),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    app: typer.Typer, arguments: list[str], tmp_path: Path, more: list[str], says: str
) -> None:
    result = CliRunner().invoke(app, [*arguments, *more])
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert len(str(result.exception).splitlines()) == 1
    assert not (tmp_path / "study").exists()


def test_an_unknown_study_is_named(app: typer.Typer, photos: Path) -> None:
    result = CliRunner().invoke(
        app, ["study", "colours", "--data", str(photos), "--backbone", "efficientnet_lite0"]
    )
    assert isinstance(result.exception, UserError)
    assert "no study 'colours'; choose one of pruning, layer-rates, auto-lr" in str(result.exception)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--teacher", "wrn-22-4=nowhere"], "--teacher wrn-22-4=nowhere: there is no finished run"),
        (["--teacher", "wrn-22-4"], "--teacher wrn-22-4 needs a folder"),
        (["--rows", "AB + KD at 1+2"], "no row 'AB + KD at 1+2'"),
        (["--set", "student.network=wrn-10-1"], "use --backbone"),
        (["--backbone", "wrn-9-9"], "wrn-9-9"),
    ],
)
def test_mistakes_in_a_study_of_distillation(
    app: typer.Typer, labelled: Path, tmp_path: Path, more: list[str], says: str
) -> None:
    out = tmp_path / "study"
    arguments = ["study", "fast-training", "--data", str(labelled), "--out", str(out), *more]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert len(str(result.exception).splitlines()) == 1
    assert not out.exists()


@pytest.mark.slow
def test_a_whole_study_of_distillation(app: typer.Typer, labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    result = CliRunner().invoke(
        app,
        [
            "study", "fast-training", "--data", str(labelled), "--backbone", "wrn-10-1", "--out", str(out),
            "--rows", "none at 1+1, AB + KD at 1+1", "--seeds", "1", "--jobs", "2", "--set", "images.pixels=16",
            "--set", "batch=12", "--teacher-set", "schedule.epochs=2",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in sorted(result.stdout.splitlines())] == [
        "AB + KD at 1+1",
        "none at 1+1",
    ]
    assert "2 rows, 3 runs, of which 0 are finished" in result.stderr
    table = (out / "table.md").read_text()
    assert "| fast-training | error | seeds | epochs | images | parameters | minutes |" in table
    assert "| teacher wrn-22-4 | " in table
    assert "| 1 | 1 + 1 | 36 | " in table


@pytest.mark.slow
def test_a_whole_study(app: typer.Typer, arguments: list[str], tmp_path: Path) -> None:
    arguments += ["--rows", "until B2,until B3", "--seeds", "2", "--jobs", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in sorted(result.stdout.splitlines())] == ["until B2", "until B3"]
    assert "4 runs, of which 0 are finished" in result.stderr
    out = tmp_path / "study"
    document = json.loads((out / "study.json").read_text())
    assert [row["name"] for row in document["rows"]] == ["until B2", "until B3"]
    for row in document["rows"]:
        scores = [
            json.loads((out / seed["runs"][0] / "bundle" / "model.json").read_text())["scores"][-1]
            for seed in row["seeds"]
        ]
        first, second = (score["recall"]["1"] for score in scores)
        assert row["scores"]["R@1"]["mean"] == pytest.approx((first + second) / 2)
        # Of two values the sample deviation is their distance over the root of two.
        assert row["scores"]["R@1"]["deviation"] == pytest.approx(abs(first - second) / 2**0.5)
        assert all(seed["peak_mib"] > 50 for seed in row["seeds"])
    table = (out / "table.md").read_text()
    assert "| until B2 | " in table
    assert "2 classes, 26 images" in table
    assert "weights: none (random weights); 32 x 32 pixels, 1 epochs, batch 13" in table
    assert "2 runs at a time" in table
    assert (out / "plot.png").stat().st_size > 5000
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0
    assert "4 runs, of which 4 are finished" in again.stderr
    assert sorted(again.stdout.splitlines()) == sorted(result.stdout.splitlines())


def start(arguments: list[str]) -> subprocess.Popen[str]:
    # Whoever runs the tests in the background may have Ctrl-C ignored, which a child would inherit.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys, typer, training.commands as c; a = typer.Typer(); c.register(a);"
        "a.callback()(lambda: None); sys.exit(a(standalone_mode=False))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_ctrl_c_and_kill_leave_a_study_that_goes_on(arguments: list[str], tmp_path: Path) -> None:
    arguments += ["--seeds", "1", "--rows", "until B3", "--set", "schedule.epochs=12"]
    metrics = tmp_path / "study" / "until-b3" / "seed-0" / "metrics.jsonl"
    for number, sent in enumerate((signal.SIGINT, signal.SIGKILL)):
        study = start(arguments)
        try:
            until = time.monotonic() + 120
            while not metrics.exists() or metrics.read_text().count("\n") < 3 * (number + 1):
                assert study.poll() is None, study.communicate()
                assert time.monotonic() < until
                time.sleep(0.01)
            study.send_signal(sent)
            _, stderr = study.communicate(timeout=60)
        finally:
            study.kill()
        if sent == signal.SIGINT:
            assert study.returncode == 130
            assert (
                stderr.splitlines()[-1] == "hdhe: stopped; the same command goes on from the last checkpoints"
            )
            assert "Traceback" not in stderr
    time.sleep(1)
    study = start(arguments)
    stdout, stderr = study.communicate(timeout=300)
    assert study.returncode == 0, stderr
    assert stdout.startswith("until B3: R@1 ")
    log = metrics.parent.with_suffix(".log").read_text()
    assert log.count("going on in epoch ") == 2
    assert [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] == list(range(1, 13))
