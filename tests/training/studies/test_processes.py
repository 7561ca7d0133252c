"""Tasks in real processes: what they answer, and that they end with the study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from training.metrics import read_metrics
from training.run_folder import RunFolder
from training.studies.plan import PROCESS_FILE, Plan
from training.studies.processes import Processes, StoppedError
from training.studies.study import Row, Study

Make = Callable[..., Plan]
ROOT = Path(__file__).parents[3]


def train_task(plan: Plan) -> dict[str, object]:
    run = plan.rows[0].trials[0].runs[0]
    return {"kind": plan.study.kind, "recipe": run.recipe.model_dump(mode="json"), "folder": str(run.folder)}


def test_a_task_is_done_and_what_it_says_goes_to_the_log(make_plan: Make, tmp_path: Path) -> None:
    task = train_task(make_plan())
    assert Processes(threads=1).do(task, tmp_path / "logs" / "run.log") is None
    assert "epoch 1/1: loss" in (tmp_path / "logs" / "run.log").read_text()
    used = json.loads((Path(str(task["folder"])) / PROCESS_FILE).read_text())
    assert used["threads"] == 1
    assert used["peak_bytes"] > 50 * 2**20


@pytest.mark.slow
def test_a_users_mistake_and_a_crash_are_one_line_each(make_plan: Make, tmp_path: Path) -> None:
    plan = make_plan(Study("tiny", "?", "!", (Row("plain", {"batch": 1000}),)))
    failure = Processes(threads=1).do(train_task(plan), tmp_path / "run.log")
    assert failure is not None
    assert failure.startswith("batch is 1000, but ")
    failure = Processes(threads=1).do({"kind": "fine-tuning", "recipe": {}}, tmp_path / "crash.log")
    assert failure is not None
    assert failure.startswith("its process ended unexpectedly (")
    assert len(failure.splitlines()) == 1
    assert "Traceback" in (tmp_path / "crash.log").read_text()


def long_study(make_plan: Make) -> Plan:
    return make_plan(Study("tiny", "?", "!", (Row("long", {"schedule.epochs": 5000}),)))


def wait_for(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_stop_ends_what_runs_and_lets_nothing_start(make_plan: Make, tmp_path: Path) -> None:
    plan = long_study(make_plan)
    folder = RunFolder(plan.rows[0].trials[0].runs[0].folder)
    processes = Processes(threads=1)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            processes.do(train_task(plan), tmp_path / "run.log")
        except StoppedError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(lambda: bool(read_metrics(folder)))
    finally:
        processes.stop()
        thread.join(60)
    assert not thread.is_alive()
    assert len(raised) == 1
    with pytest.raises(StoppedError):
        processes.do(train_task(plan), tmp_path / "run.log")


@pytest.mark.slow
def test_a_process_leaves_when_the_study_is_killed(make_plan: Make, tmp_path: Path) -> None:
    plan = long_study(make_plan)
    folder = RunFolder(plan.rows[0].trials[0].runs[0].folder)
    program = (
        "import json, sys; from pathlib import Path; from training.studies.processes import Processes;"
        "Processes(1).do(json.loads(sys.argv[1]), Path(sys.argv[2]))"
    )
    study = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(train_task(plan)), str(tmp_path / "run.log")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        wait_for(lambda: bool(read_metrics(folder)))
    finally:
        study.kill()
        study.wait()
    # It leaves at once; a step or two may still end.
    time.sleep(2)
    lines = len(read_metrics(folder))
    time.sleep(2)
    assert len(read_metrics(folder)) == lines
