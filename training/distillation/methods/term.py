"""What the methods of distillation have in common: a term of the loss, and what it sees of a step.

Most terms are L = d(T_t(F_t), T_s(F_s)): a distance between a transformed feature of the teacher and a transformed
feature of the student (Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import Parameter

from retrieval.errors import UserError
from retrieval.networks.taps import Position, Tap
from training.batch_part import BatchPart
from training.setting import Setting, Settings, Value, resolve

Stage = Literal["initialise", "train", "both"]
"""Where a term counts: before the student sees a label, with the class loss, or in both."""

StageName = Literal["prepare", "initialise", "main"]
"""The stages of a run, in their order."""

Need = Literal["taps", "logits", "embedding", "teacher_logits", "own_norms"]


@dataclass(frozen=True)
class Output:
    """What a network makes of a batch of n images.

    logits: float[n, classes] of a classifier, None of a network for retrieval. feature: float[n, d], what a classifier
    sees; of a network for retrieval all heads' features, one behind the other. embedding: float[n, d], unit vectors, of
    a network for retrieval; None of a classifier. taps: maps float[n, c, h, w], shallow to deep; empty where no term
    needs them.
    """

    logits: Tensor | None
    feature: Tensor
    embedding: Tensor | None
    taps: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step of training. Nothing of the teacher's carries gradients.

    labels: int64[n]. student_images, teacher_images: the same views of the images, float[n, 3, h, w], each as its
    network expects them. forward_student, forward_teacher: the networks themselves, with the term's taps, for terms
    that show them other images; gradients flow to the images, and to the student's weights. progress: share of this
    stage that is done, 0 <= progress < 1. part: which images of a batch these are; None: all.
    """

    teacher: Output
    student: Output
    labels: Tensor
    student_images: Tensor
    teacher_images: Tensor
    forward_student: Callable[[Tensor], Output]
    forward_teacher: Callable[[Tensor], Output]
    progress: float
    part: BatchPart | None = None

    def gather(self, rows: Tensor) -> Tensor:
        """Rows [n, ...] for these images to those of the whole batch, with gradients."""
        return rows if self.part is None else self.part.gather(rows)


@dataclass(frozen=True)
class Setup:
    """What a term is built for.

    taps: pairs of the teacher's and the student's, shallow to deep. The sizes are those of `Output`: of a feature, of
    the logits (0 without), of an embedding (0 without).
    """

    taps: tuple[tuple[Tap, Tap], ...] = ()
    teacher_feature: int = 0
    student_feature: int = 0
    teacher_classes: int = 0
    student_classes: int = 0
    teacher_embedding: int = 0
    student_embedding: int = 0


class Term(nn.Module, ABC):
    """A part of the loss, with parameters of its own (connectors, translators) that learn with the student and are
    left behind with it. Computes in float32 whatever the networks use. Draws come from torch's generator.

    compares_images: whether the images of a batch are compared with one another, or chosen from among them. Such a term
    gathers what it needs from all processes (`Step.gather`) and gives the whole batch's value; all others give the mean
    over the images they see.
    """

    compares_images: ClassVar[bool] = False

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The term, a scalar with gradients to the student, before its weight."""

    def preparation(self, teacher: Output) -> Tensor | None:
        """What is minimised before the student learns anything, a scalar, for terms that have to.

        teacher: with the term's taps.
        """
        return None

    def preparation_parameters(self) -> list[Parameter]:
        """The parameters that learn then, and only then."""
        return []


@dataclass(frozen=True)
class Choice:
    """A setting that is one of some words."""

    default: str
    words: tuple[str, ...]


PREPARED = ("teacher_transform", "paraphraser")
"""The choice of a method that must learn from the teacher before the student does."""

POOLED = ("of", "feature")
"""The choice of a method that compares what is pooled at the end, and so no features at positions."""


@dataclass(frozen=True)
class MethodRow:
    """One method.

    source: paper, and where its settings come from. build: from what it is built for, all settings and all choices to
    the term; may raise UserError. weight: the authors'. stage: `initialise` before the student sees a label, `train`
    with the class loss, or in both. needs: what the networks must give; own_norms: a teacher
    whose batch norms use the statistics that they learned. position: where features are taken, for methods that take
    some. settings, choices: numbers and words that a recipe may change; no name is in both.
    teacher_trains: whether the authors let the teacher's batch norms use the batch's statistics in that stage.
    differentiates_twice: whether gradients of the student's gradients are taken.
    """

    name: str
    source: str
    build: Callable[[Setup, Settings, Mapping[str, str]], Term]
    weight: float
    stage: Stage
    needs: tuple[Need, ...]
    position: Position | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    teacher_trains: bool = False
    differentiates_twice: bool = False

    def prepares(self, given: Mapping[str, object]) -> bool:
        """Whether its term has a `preparation` with these settings, and so needs the stage of that name."""
        return self.resolve(given)[1].get(PREPARED[0]) == PREPARED[1]

    def takes_taps(self, given: Mapping[str, object]) -> bool:
        """Whether its term compares features at positions with these settings. Raises UserError, naming a wrong one."""
        _, choices = self.resolve(given)
        return "taps" in self.needs and choices.get(POOLED[0]) != POOLED[1]

    def resolve(self, given: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, str]]:
        """All settings and choices, the given ones in place of the defaults. Raises UserError, naming a wrong one."""
        chosen = {key: choice.default for key, choice in self.choices.items()}
        numbers: dict[str, Any] = {}
        for key, value in given.items():
            if key not in self.choices:
                numbers[key] = value
            elif value in self.choices[key].words:
                chosen[key] = str(value)
            else:
                words = ", ".join(self.choices[key].words)
                raise UserError(f"method {self.name}: {key} must be one of {words}; got {value!r}")
        known = {*self.settings, *self.choices}
        for key in numbers:
            if key not in known:
                names = f"its settings are {', '.join(sorted(known))}" if known else "it has no settings"
                raise UserError(f"method {self.name} has no setting {key!r}; {names}")
        return resolve(f"method {self.name}", self.settings, numbers), chosen
