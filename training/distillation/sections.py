"""The parts that only a recipe of distillation has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from retrieval.errors import UserError
from retrieval.networks.taps import Position
from training.distillation.methods.table import METHODS
from training.distillation.methods.term import MethodRow, Stage
from training.sections.data import DataSection
from training.sections.schedule import StageSection
from training.sections.section import Factor, Rate, Section


class PartOfDataSection(DataSection):
    """Which images, and how many of them. share: this part of each class, 0.01 = one image in a hundred. per_class:
    instead, so many images of each. part_seed: draws them, whatever the run's own seed is.
    """

    share: Annotated[float, Field(gt=0, le=1)] | None = None
    per_class: Annotated[int, Field(ge=1)] | None = None
    part_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.share is not None and self.per_class is not None:
            raise ValueError("give share or per_class, not both")
        return self


class TeacherSection(Section):
    """Who teaches. model: what a run has left (its bundle/ folder), for retrieval also PRESET:BACKBONE; or the name of
    a network, with `weights`: `imagenet` or the path of a state dict, for a teacher of ImageNet's 1,000 classes.
    pixels: side of the images that the teacher sees; null = as its model says. mirror: whether its embedding sums the
    mirrored image's; null = as its model says. norms: whether its batch norms use the batch's statistics (`batch`,
    which are not remembered) or those it learned (`own`); null = as the methods' authors do.
    """

    model: Annotated[str, Field(min_length=1)]
    weights: Annotated[str, Field(min_length=1)] | None = None
    pixels: Annotated[int, Field(ge=16, le=1024)] | None = None
    mirror: bool | None = None
    norms: Literal["batch", "own"] | None = None


class ClassifierSection(Section):
    """A student that classifies. network: a name of `hdhe models`, for example wrn-16-2 or resnet18. weights: `none`
    (random), `imagenet` or the path of a state dict.
    """

    network: Annotated[str, Field(min_length=1)]
    weights: Annotated[str, Field(min_length=1)] = "none"

    @property
    def source(self) -> Literal["imagenet"] | Path | None:
        """The weights as `build_classifier` takes them."""
        if self.weights == "none":
            return None
        return "imagenet" if self.weights == "imagenet" else Path(self.weights).expanduser()


class TermSection(Section):
    """One term of the loss. method: a row of the table of methods. weight, stage, position: in place of the authors'.
    settings: the method's own, in place of the authors'. teacher_taps, student_taps: where features are taken, pair by
    pair from the input on; null = at every group of both.
    """

    method: str
    weight: Factor | None = None
    stage: Stage | None = None
    position: Position | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    teacher_taps: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    student_taps: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}")
        if (
            self.teacher_taps is not None
            and self.student_taps is not None
            and len(self.teacher_taps) != len(self.student_taps)
        ):
            raise ValueError(
                f"teacher_taps are {len(self.teacher_taps)} and student_taps {len(self.student_taps)}; "
                "each of the teacher's needs one of the student's"
            )
        try:
            taken = self.row.takes_taps(self.settings)
        except UserError as error:
            raise ValueError(str(error)) from error
        if not taken and (self.position or self.teacher_taps or self.student_taps):
            raise ValueError(
                f"method {self.method} takes no features at positions; leave out position and taps"
            )
        return self

    @property
    def row(self) -> MethodRow:
        """The method's row of the table."""
        return METHODS[self.method]

    @property
    def resolved_stage(self) -> Stage:
        """When the term counts."""
        return self.stage or self.row.stage

    @property
    def resolved_weight(self) -> float:
        """What the term counts for."""
        return self.row.weight if self.weight is None else self.weight

    @property
    def leads_into_the_teachers_space(self) -> bool:
        """Whether it brings the student's embedding to the teacher's very numbers."""
        _, choices = self.row.resolve(self.settings)
        return choices.get("connector") == "none" or choices.get("gallery") == "teacher"

    @property
    def compares_maps(self) -> bool:
        """Whether it brings features of both networks to maps of one shape."""
        _, choices = self.row.resolve(self.settings)
        return choices.get("teacher_transform", "attention") not in ("attention", "paraphraser")


class EarlyStageSection(StageSection):
    """A stage before the class labels are used. lr: in place of the optimiser's, for everything that learns in it."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 1
    drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    lr: Rate | None = None


class MainStageSection(StageSection):
    """The stage that uses the class labels, or that is alone. average: keep a moving average of the student's weights
    with this decay per step, and score and export that; null = none.
    """

    average: Annotated[float, Field(gt=0, lt=1)] | None = None


class ScoreSection(Section):
    """What is scored while the student learns. split: of the data set; the same classes for a classifier, other classes
    for retrieval; null = nothing. every: in every so many epochs, and the last. k: Ks of Recall@K, for retrieval.
    overlap: in the end also how far the student's neurons fire together with the teacher's.
    """

    split: str | None = None
    every: Annotated[int, Field(ge=1)] = 1
    k: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 4, 8)
    overlap: bool = False
