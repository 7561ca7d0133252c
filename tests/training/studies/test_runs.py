"""Finished runs are found by what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.recipe_file import RecipeError
from training.studies.kinds import KINDS
from training.studies.runs import finished_runs


def finished(folder: Path, recipe: str) -> Path:
    (folder / "bundle").mkdir(parents=True)
    (folder / "bundle" / "model.json").write_text("{}")
    (folder / "recipe.yaml").write_text(recipe)
    return folder


def test_runs_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    one = finished(tmp_path / "a" / "seed-0", "name: a\ndata: {name: x}\nnetwork: {preset: single}\n")
    other = finished(tmp_path / "b" / "seed-0", "name: b\ndata: {name: x}\nstudent: {network: wrn-10-1}\n")
    begun = tmp_path / "c" / "seed-0"
    begun.mkdir(parents=True)
    (begun / "recipe.yaml").write_text((other / "recipe.yaml").read_text())
    assert list(finished_runs(KINDS["fine-tuning"], [tmp_path]).values()) == [one]
    assert list(finished_runs(KINDS["distillation"], [tmp_path]).values()) == [other]


def test_a_damaged_recipe_is_named(tmp_path: Path) -> None:
    finished(tmp_path / "a" / "seed-0", "name: [")
    with pytest.raises(RecipeError, match=r"recipe\.yaml is damaged"):
        finished_runs(KINDS["distillation"], [tmp_path])
