"""What is minimised."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from retrieval.errors import UserError
from training.losses import LOSSES, check_settings
from training.sections.section import Rate, Section

Share = Annotated[float, Field(gt=0, lt=1)]
Settings = dict[str, bool | int | float]


class PairTerm(Section):
    """A second loss on the same features, added to the first with a weight."""

    name: str = "multi_similarity"
    weight: Rate = 1.0
    settings: Settings = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        _check_loss(self.name, self.settings)
        return self


class Mixup(Section):
    """Mixing of embeddings: the share `weight` of the loss is taken on mixtures drawn from Beta(alpha, alpha)."""

    alpha: Rate = 1.0
    weight: Share = 0.5


class HeadDistillation(Section):
    """The ensemble's similarities teach each head. temperature: of the softmax over cosines."""

    weight: Rate = 1.0
    temperature: Rate = 0.1


class LossSection(Section):
    """The loss of each head, and what joins them.

    name: a key of the table of losses. settings: in place of its authors' values. pair: a second loss beside it.
    mixup: mixtures of embeddings; needs a loss with classes. distil_heads: the concatenation teaches each head; needs
    two heads.
    """

    name: str = "cross_entropy"
    settings: Settings = Field(default_factory=dict)
    pair: PairTerm | None = None
    mixup: Mixup | None = None
    distil_heads: HeadDistillation | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_loss(self.name, self.settings)
        if self.mixup is not None and LOSSES[self.name].kind != "class":
            raise ValueError(f"mixup needs a loss with classes, which {self.name} is not; leave out mixup")
        return self


def _check_loss(name: str, settings: Settings) -> None:
    if name not in LOSSES:
        raise ValueError(f"name must be one of {', '.join(LOSSES)}; got {name!r}")
    try:
        check_settings(name, settings)
    except UserError as error:
        raise ValueError(str(error)) from error
