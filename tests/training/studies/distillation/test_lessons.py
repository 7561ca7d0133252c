"""Students and their teachers in the laboratory: what is trained, in which order, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.errors import UserError
from tests.training.studies.distillation.conftest import STUDY, TEACHER
from tests.training.studies.in_this_process import InThisProcess
from training.run_folder import RunFolder
from training.studies.kinds import KINDS
from training.studies.laboratory import Laboratory
from training.studies.plan import Plan
from training.studies.report import Circumstances, write_study
from training.studies.results import read_results
from training.studies.study import Row

Make = Callable[..., Plan]


def run(plan: Plan) -> tuple[Laboratory, InThisProcess, list[str]]:
    processes, lines = InThisProcess(), list[str]()
    laboratory = Laboratory(plan, processes, 1, report=lines.append)
    laboratory.run(1, lambda planned: lines.append(f"row {planned.row.name}"))
    return laboratory, processes, lines


def test_a_teacher_is_trained_once_and_before_its_students(make_lesson_plan: Make) -> None:
    plan = make_lesson_plan(seeds=2)
    _, did, lines = run(plan)
    assert did.trained == ["teacher-wrn-10-2/seed-0", "none/seed-0", "none/seed-1", "kd/seed-0", "kd/seed-1"]
    taught = json.loads((plan.out / "kd" / "seed-1" / "bundle" / "model.json").read_text())
    assert taught["recipe"]["teacher"]["model"] == str(plan.out / "teacher-wrn-10-2" / "seed-0" / "bundle")
    assert lines[0].startswith("teacher wrn-10-2, seed 0: error ")
    assert [len(result.outcomes) for result in read_results(plan, {})] == [1, 2, 2]
    _, again, _ = run(make_lesson_plan(seeds=2))
    assert again.trained == []

    circumstances = Circumstances(
        plan.rows[2].recipe, "tiny", KINDS["distillation"].count_images(plan.rows[2].recipe), "hdhe", 2, 1, 1
    )
    write_study(plan, circumstances, {})
    table = (plan.out / "table.md").read_text()
    assert "| tiny | error | error, published | seeds | teacher | student | size | epochs | images |" in table
    assert "| - | wrn-10-2 | - | 1 | 36 |" in table
    assert "| wrn-10-2 | wrn-10-1 |" in table
    assert "scored as a classifier on" in table
    assert "Published: a book." in table
    document = json.loads((plan.out / "study.json").read_text())
    assert [row["published"] for row in document["rows"]] == [{"error": 4.5}, {}, {"error": 50.25}]
    assert document["rows"][1]["scores"]["error"]["deviation"] is not None


def test_teachers_and_students_are_taken_from_other_folders(make_lesson_plan: Make, tmp_path: Path) -> None:
    first = make_lesson_plan(rows=["KD"])
    _, did, lines = run(first)
    assert did.trained == ["teacher-wrn-10-2/seed-0", "kd/seed-0"], "a student brings its teacher"
    assert [line for line in lines if line.startswith("row")] == ["row KD"]
    assert [result.name for result in read_results(first, {})] == [TEACHER.name, "KD"]
    second = make_lesson_plan(out=tmp_path / "second", reuse=[first.out])
    _, did, _ = run(second)
    assert did.trained == ["none/seed-0"]
    # The same teacher, moved, is known by its weights.
    moved = tmp_path / "moved"
    (first.out / "teacher-wrn-10-2" / "seed-0").rename(moved)
    for given in (moved, moved / "bundle"):
        third = make_lesson_plan(rows=["KD"], out=tmp_path / "third", teachers={"wrn-10-2": given})
        assert third.rows[0].trials[0].runs[0].finished
        assert str(third.rows[1].recipe.model_dump()["teacher"]["model"]) == str(moved / "bundle")


def test_a_teacher_that_was_never_scored_teaches_all_the_same(make_lesson_plan: Make, tmp_path: Path) -> None:
    plan = make_lesson_plan(rows=[TEACHER.name])
    run(plan)
    teacher = plan.rows[0].trials[0].runs[0].folder
    written = teacher / "bundle" / "model.json"
    written.write_text(json.dumps(json.loads(written.read_text()) | {"scores": []}))
    students = make_lesson_plan(out=tmp_path / "students", teachers={"wrn-10-2": teacher})
    _, did, lines = run(students)
    assert did.trained == ["none/seed-0", "kd/seed-0"]
    assert sorted(line for line in lines if line.startswith("row")) == [
        "row KD",
        "row none",
        f"row {TEACHER.name}",
    ]
    assert [result.name for result in read_results(students, {})] == ["KD", "none"]


def test_a_teacher_that_fails_fails_its_students_alone(make_lesson_plan: Make) -> None:
    absurd = replace(TEACHER, overrides={**TEACHER.overrides, "optimiser.lr": 1e30, "schedule.epochs": 9})
    plan = make_lesson_plan(replace(STUDY, rows=(absurd, *STUDY.rows[1:])))
    laboratory, did, _ = run(plan)
    assert did.trained == ["teacher-wrn-10-2/seed-0", "none/seed-0"]
    assert laboratory.failures["KD", 0].startswith("its teacher failed: ")
    assert [result.failed for result in read_results(plan, laboratory.failures)] == [True, True, False]


def test_stars_stand_for_any_letters(make_lesson_plan: Make) -> None:
    rows = (
        TEACHER,
        *(
            Row(f"{name} at {pair}", {"batch": n + 2})
            for n, (name, pair) in enumerate([("KD", "1+1"), ("KD", "1+5"), ("none", "1+1")])
        ),
    )
    study = replace(STUDY, rows=rows)

    def selected(*names: str) -> list[str]:
        plan = make_lesson_plan(study, rows=names)
        return [planned.row.name for planned in plan.rows if planned.selected]

    assert selected("* at 1+1") == ["KD at 1+1", "none at 1+1"]
    assert selected("kd*") == ["KD at 1+1", "KD at 1+5"]
    assert selected("None at 1+1", "KD at 1+5") == ["KD at 1+5", "none at 1+1"]
    with pytest.raises(UserError, match=r"has no row 'KD at 2\*'"):
        selected("KD at 2*")


def test_the_folder_of_a_teacher_of_another_recipe_is_refused(make_lesson_plan: Make) -> None:
    run(make_lesson_plan(rows=[TEACHER.name]))
    with pytest.raises(UserError, match="teacher-wrn-10-2/seed-0 is a run of another recipe: batch was 12"):
        make_lesson_plan(rows=["KD"], settings=("batch=6",))
    assert RunFolder(make_lesson_plan().rows[0].trials[0].runs[0].folder).finished
