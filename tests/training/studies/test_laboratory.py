"""What is run of a plan and what is not, with training done in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.studies.in_this_process import InThisProcess
from tests.training.studies.narrowed import cost_of, recipe_of
from training.checkpoint import checkpoints
from training.loop import train
from training.run_folder import RunFolder
from training.studies.laboratory import Laboratory
from training.studies.plan import Plan
from training.studies.results import read_outcome, read_results
from training.studies.study import Row, Study

Make = Callable[..., Plan]


def run(plan: Plan, processes: InThisProcess | None = None) -> tuple[Laboratory, InThisProcess, list[str]]:
    """Run all; returns the laboratory, what it did, and the rows in the order in which they were told."""
    processes = processes or InThisProcess()
    lines: list[str] = []
    laboratory = Laboratory(plan, processes, 1, report=lines.append)
    laboratory.run(1, lambda planned: lines.append(f"row {planned.row.name}"))
    return laboratory, processes, lines


def test_each_row_is_trained_with_each_seed_and_told_when_complete(make_plan: Make) -> None:
    plan = make_plan(seeds=2)
    _, did, lines = run(plan)
    assert did.trained == ["plain/seed-0", "plain/seed-1", "pruned/seed-0", "pruned/seed-1"]
    assert [line for line in lines if line.startswith("row")] == ["row plain", "row pruned"]
    assert lines[0].startswith("plain, seed 0: R@1 ")
    assert lines[2] == "row plain"
    assert [len(result.outcomes) for result in read_results(plan, {})] == [2, 2]
    assert not RunFolder(plan.out / "plain" / "seed-0").checkpoints.exists(), "a finished run needs none"


def test_what_has_finished_is_not_trained_again(make_plan: Make) -> None:
    run(make_plan(seeds=1))
    _, did, lines = run(make_plan(seeds=2))
    assert did.trained == ["plain/seed-1", "pruned/seed-1"]
    assert sum(line.startswith("row") for line in lines) == 2


def test_a_run_that_was_killed_goes_on(make_plan: Make) -> None:
    plan = make_plan(Study("tiny", "?", "!", (Row("plain", {"schedule.epochs": 2}),)))
    planned = plan.rows[0].trials[0].runs[0]

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("epoch 2/2"):
            raise KilledError

    with pytest.raises(KilledError):
        # Told before the epoch's checkpoint is written: the run goes on from that of the first epoch.
        train(recipe_of(planned), planned.folder, report=kill)
    assert checkpoints(RunFolder(planned.folder).checkpoints)
    assert not planned.finished
    through = plan.out / "through"
    train(recipe_of(planned), through)
    run(plan)
    one, other = (load_file(at / "bundle" / "weights.safetensors") for at in (through, planned.folder))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_ctrl_c_stops_and_the_next_start_does_the_rest(make_plan: Make) -> None:
    interrupted = InThisProcess(interrupt=1)
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(seeds=2), interrupted)
    assert interrupted.stopped
    assert interrupted.trained == ["plain/seed-0"]
    _, did, _ = run(make_plan(seeds=2))
    assert did.trained == ["plain/seed-1", "pruned/seed-0", "pruned/seed-1"]


def test_a_row_whose_loss_is_no_number_is_marked_and_the_others_go_on(make_plan: Make) -> None:
    absurd = {"optimiser.lr": 1e30, "optimiser.classifier_lr": 1e30}
    plan = make_plan(Study("tiny", "?", "!", (Row("absurd", absurd), Row("plain"))))
    laboratory, did, lines = run(plan)
    assert did.trained == ["absurd/seed-0", "plain/seed-0"]
    assert lines[0].startswith("absurd, seed 0 failed: the loss became ")
    assert len(lines[0].splitlines()) == 1
    assert list(laboratory.failures) == [("absurd", 0)]
    absurd_row, plain_row = read_results(plan, laboratory.failures)
    assert absurd_row.failed
    assert not plain_row.failed
    _, again, _ = run(make_plan(plan.study))
    assert again.trained == ["absurd/seed-0"], "a failure is tried again, since its cause may be gone"


def test_only_the_rows_that_are_asked_for_run(make_plan: Make) -> None:
    _, did, lines = run(make_plan(rows=["pruned"]))
    assert did.trained == ["pruned/seed-0"]
    assert [result.name for result in read_results(make_plan(rows=["plain"]), {})] == ["pruned"]
    assert lines[-1] == "row pruned"


def test_two_networks_are_trained_and_scored_as_one_and_share_a_run_of_their_recipe(make_plan: Make) -> None:
    study = Study("tiny", "?", "!", (Row("one"), Row("two separate", models=2)))
    plan = make_plan(study)
    _, did, _ = run(plan)
    assert did.trained == ["one/seed-0", "two-separate/seed-1000"]
    one, two = read_results(plan, {})
    assert cost_of(two).parameters == 2 * cost_of(one).parameters
    assert cost_of(two).gmacs == 2 * cost_of(one).gmacs
    assert cost_of(two).embedding_size == 2 * cost_of(one).embedding_size
    assert two.outcomes[0].minutes > one.outcomes[0].minutes
    _, again, _ = run(make_plan(study))
    assert again.tasks == []


def test_a_score_of_other_models_is_made_anew(make_plan: Make) -> None:
    study = Study("tiny", "?", "!", (Row("two", models=2),))
    plan = make_plan(study)
    run(plan)
    (trial,) = plan.rows[0].trials
    assert trial.score is not None
    score = json.loads(trial.score.read_text())
    trial.score.write_text(json.dumps(score | {"fingerprints": ["of", "others"]}))
    assert read_outcome(trial) is None
    _, again, _ = run(make_plan(study))
    assert [Path(task["score"]).name for task in again.tasks] == ["seed-0.json"]
    assert read_outcome(trial) is not None


def test_when_a_shared_run_fails_all_its_rows_do(make_plan: Make) -> None:
    absurd = {"optimiser.lr": 1e30, "optimiser.classifier_lr": 1e30}
    laboratory, did, _ = run(
        make_plan(Study("tiny", "?", "!", (Row("one", absurd), Row("two", absurd, models=2))))
    )
    assert did.trained == ["one/seed-0"]
    assert set(laboratory.failures) == {("one", 0), ("two", 0)}
