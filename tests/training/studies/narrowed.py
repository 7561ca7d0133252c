"""What a plan and its results hold of any kind of recipe, taken as fine-tuning's."""

from __future__ import annotations

from training.recipe import Recipe
from training.studies.fine_tuning import RowCost
from training.studies.results import RowResult
from training.studies.runs import PlannedRun


def recipe_of(run: PlannedRun) -> Recipe:
    assert isinstance(run.recipe, Recipe)
    return run.recipe


def cost_of(result: RowResult) -> RowCost:
    assert isinstance(result.facts, RowCost)
    return result.facts
