"""What a study needs to know of the recipes that its rows are; all else is the same for every kind of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from retrieval.datasets import Subset
from training.sections.section import RunSection
from training.studies.study import Study

R = TypeVar("R", bound=RunSection)
R_contra = TypeVar("R_contra", bound=RunSection, contravariant=True)


@dataclass(frozen=True)
class Images:
    """What is trained on and what is scored: names of the splits, classes and images of each. protocol: how."""

    training: str
    training_classes: int
    training_images: int
    scored: str
    scored_classes: int
    scored_images: int
    protocol: str

    @classmethod
    def of(cls, training: Subset, scored: Subset, protocol: str = "leave-one-out") -> Self:
        """Counted."""
        return cls(
            training.name,
            len(training.classes),
            len(training),
            scored.name,
            len(scored.classes),
            len(scored),
            protocol,
        )

    def __str__(self) -> str:
        return (
            f"trained on {self.training} ({self.training_classes:,} classes, {self.training_images:,} images), scored "
            f"{self.protocol} on {self.scored} ({self.scored_classes:,} classes, {self.scored_images:,} images)"
        )


class Facts(Protocol):
    """What there is to say of a row beside its scores: a dataclass, whose fields go into study.json."""

    @property
    def training_mib(self) -> float | None:
        """See `memory.py`; None where it is not counted."""
        ...

    def cells(self, study: Study) -> dict[str, str]:
        """The columns of a study's table, by their names."""
        ...


@dataclass(frozen=True)
class Trained(Generic[R]):
    """What a row's facts are taken from. models: how many are trained of the recipe. teacher: the recipe of the run
    that its student learns from, if there is one. document: model.json of one of its finished runs, if there is one.
    """

    recipe: R
    models: int
    teacher: R | None
    document: Mapping[str, Any] | None


class Train(Protocol[R_contra]):
    """Does a run in a folder and returns the folder of its model."""

    def __call__(
        self, recipe: R_contra, out: Path, *, resume: bool = ..., report: Callable[[str], None] | None = ...
    ) -> Path:
        """As `training.loop.train`."""
        ...


@dataclass(frozen=True)
class Kind(Generic[R]):
    """A kind of recipe.

    mark: a key that its recipes have and no others. identity: the same for recipes that give the same weights. scores:
    from a score as the model's file has it to shares in 0..1 by name, the foremost first. count_images: opens the data
    without decoding. settings: for the caption, what rows share unless their name says otherwise; about: the same for
    the plot, in a few words. legend: what the columns mean.
    """

    recipe: type[R]
    mark: str
    train: Train[R]
    identity: Callable[[R], str]
    scores: Callable[[Mapping[str, Any]], dict[str, float]]
    facts: Callable[[Trained[R]], Facts]
    count_images: Callable[[R], Images]
    settings: Callable[[R], str]
    about: Callable[[R], str]
    legend: str
