"""Who may start or go on in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval.errors import UserError
from training.recipe import Recipe
from training.recipe_file import load_recipe
from training.run_folder import RunFolder

Make = Callable[..., Recipe]


def test_a_new_run_leaves_its_whole_recipe(tmp_path: Path, make_recipe: Make) -> None:
    folder = RunFolder(tmp_path / "deep" / "run")
    folder.open(make_recipe("seed=4"), resume=False)
    assert load_recipe(folder.recipe) == make_recipe("seed=4")
    assert not folder.finished


def test_a_folder_that_is_taken_is_refused(tmp_path: Path, make_recipe: Make) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open(make_recipe(), resume=False)
    with pytest.raises(UserError, match="already holds a run; add --resume"):
        folder.open(make_recipe(), resume=False)
    with pytest.raises(UserError, match="in use by something else"):
        RunFolder(tmp_path).open(make_recipe(), resume=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="in use by something else"):
        RunFolder(tmp_path / "file").open(make_recipe(), resume=False)
    with pytest.raises(UserError, match="cannot be made"):
        RunFolder(tmp_path / "file" / "run").open(make_recipe(), resume=False)


def test_only_the_same_recipe_goes_on(tmp_path: Path, make_recipe: Make) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(UserError, match=r"no run in .* to resume"):
        folder.open(make_recipe(), resume=True)
    folder.open(make_recipe(), resume=False)
    folder.open(make_recipe("machine.workers=7"), resume=True)
    with pytest.raises(UserError, match="batch was 5 and is now 6"):
        folder.open(make_recipe("batch=6"), resume=True)
