"""From a study to its runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval.errors import UserError
from tests.training.studies.narrowed import recipe_of
from training.loop import train
from training.studies.base import open_base
from training.studies.plan import Plan, plan_study
from training.studies.study import Row, Study

Make = Callable[..., Plan]


def test_a_run_for_each_row_and_seed(make_plan: Make, tmp_path: Path) -> None:
    plan = make_plan(seeds=3)
    found = {
        run.folder.relative_to(plan.out).as_posix(): (run.recipe.seed, recipe_of(run).network.preset)
        for planned in plan.rows
        for trial in planned.trials
        for run in trial.runs
    }
    assert found == {
        f"{row}/seed-{seed}": (seed, preset)
        for row, preset in {"plain": "single", "pruned": "pruned"}.items()
        for seed in range(3)
    }


def test_rows_of_one_recipe_share_runs(make_plan: Make) -> None:
    said_at_length = {
        "batch": 13,
        "network.preset": "hdhe",
        "network.heads": [{"last_block": "res4_last", "stride": 2, "reduction": "none", "lr": 1}],
        "network.share_until": "B3",
    }
    rows = (Row("one"), Row("same", said_at_length), Row("other", {"batch": 12}))
    plan = make_plan(Study("tiny", "?", "!", rows))
    folders = [planned.trials[0].runs[0].folder.parent.name for planned in plan.rows]
    assert folders == ["one", "one", "other"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seeds": 0}, "--seeds must be 1 or more; got 0"),
        ({"rows": ["plain", "plane"]}, "no row 'plane'; its rows are plain, pruned"),
        ({"reuse": [Path("nowhere")]}, "--reuse nowhere is not a folder"),
    ],
)
def test_mistakes_are_named(make_plan: Make, options: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make_plan(**options)


def test_a_row_that_is_no_recipe_is_named_before_anything_runs(make_plan: Make) -> None:
    with pytest.raises(UserError, match="netwrk is not a key"):
        make_plan(Study("tiny", "?", "!", (Row("plain"), Row("wrong", {"netwrk.preset": "hdhe"}))))


def test_a_folder_of_another_recipe_is_refused_only_if_its_row_is_to_run(
    make_plan: Make, tiny_file: Path, photos: Path, tmp_path: Path
) -> None:
    run = make_plan().rows[0].trials[0].runs[0]
    train(recipe_of(run), run.folder)
    base = open_base(
        tiny_file, {}, data=str(photos), root=None, backbone="mobilenet_v3_small", settings=["batch=6"]
    )
    study = make_plan().study
    with pytest.raises(UserError, match="plain/seed-0 is a run of another recipe: batch was 13 and is now 6"):
        plan_study(study, base, tmp_path / "study", seeds=1)
    plan = plan_study(study, base, tmp_path / "study", seeds=1, rows=["pruned"])
    assert not plan.rows[0].trials[0].runs[0].finished


def test_a_finished_run_of_another_study_is_taken_for_the_same_recipe(
    make_plan: Make, base: object, tmp_path: Path
) -> None:
    run = make_plan().rows[0].trials[0].runs[0]
    elsewhere = tmp_path / "studies" / "first" / "whatever" / "seed-0"
    written = {"name": "whatever", "network": recipe_of(run).network.model_copy(update={"share_until": "B3"})}
    train(recipe_of(run).model_copy(update=written), elsewhere)
    plan = make_plan(seeds=2, reuse=[tmp_path / "studies"])
    first, second = (trial.runs[0] for trial in plan.rows[0].trials)
    assert first.folder == elsewhere
    assert first.finished
    assert second.folder == plan.out / "plain" / "seed-1"
    assert [trial.runs[0].folder.parent.name for trial in plan.rows[1].trials] == ["pruned", "pruned"]


def test_the_folder_of_another_study_is_refused(make_plan: Make, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text('{"study": "pruning"}')
    with pytest.raises(UserError, match="is the folder of the study pruning"):
        make_plan()
