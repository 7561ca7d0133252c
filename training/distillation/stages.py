"""The stages of a run, one behind the other, and which of them an epoch belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from training.distillation.methods.term import StageName
from training.distillation.recipe import DistillationRecipe
from training.failure import LearningRate
from training.schedule import rate_factor
from training.sections.schedule import StageSection


@dataclass(frozen=True)
class RunStage:
    """One stage. first: its first epoch of the run, counted from 0. lr: in place of every rate; None keeps them."""

    name: StageName
    first: int
    section: StageSection
    lr: float | None

    @property
    def end(self) -> int:
        """The epoch behind its last."""
        return self.first + self.section.epochs

    def progress(self, position: float) -> float:
        """Share of the stage that is done at a position in epochs of the run."""
        return (position - self.first) / self.section.epochs

    def rate(self, recipe: DistillationRecipe) -> LearningRate:
        """What this stage learns at, and where the recipe says it."""
        section = "schedule" if self.name == "main" else self.name
        warmup = f"{section}.warmup_epochs"
        if self.lr is None:
            return LearningRate(recipe.optimiser.lr, warmup=warmup)
        return LearningRate(self.lr, f"{section}.lr", warmup)

    def rate_factor(self, position: float) -> float:
        """The factor on every rate at a position in epochs of the run."""
        return rate_factor(self.section, position - self.first)


def stages_of(recipe: DistillationRecipe) -> tuple[RunStage, ...]:
    """The recipe's stages in order; the last one is the main one."""
    found: list[RunStage] = []
    first = 0
    if recipe.prepare is not None:
        found.append(RunStage("prepare", first, recipe.prepare, recipe.prepare.lr))
        first = found[-1].end
    if recipe.initialise is not None:
        found.append(RunStage("initialise", first, recipe.initialise, recipe.initialise.lr))
        first = found[-1].end
    return (*found, RunStage("main", first, recipe.schedule, None))


def stage_at(stages: tuple[RunStage, ...], epoch: int) -> RunStage:
    """The stage that an epoch of the run belongs to."""
    return next(stage for stage in stages if epoch < stage.end)
