"""What is minimised."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from retrieval.errors import UserError
from training.ensembles.combine import COMBINERS, check_combiner
from training.losses import LOSSES, check_settings
from training.sections.section import Rate, Section

SUM = "sum"
"""How HDhE joins its heads."""

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

    name: a key of the table of losses. settings: in place of its authors' values. combine: `sum` adds the heads' losses
    up; a key of the table of combiners stands in for them and takes `settings` for its own, and `name` has no say.
    pair: a second loss beside the first. mixup: mixtures of embeddings; needs a loss with classes. distil_heads: the
    concatenation teaches each head; needs two heads.
    """

    name: str = "cross_entropy"
    settings: Settings = Field(default_factory=dict)
    combine: str = SUM
    pair: PairTerm | None = None
    mixup: Mixup | None = None
    distil_heads: HeadDistillation | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.combine != SUM:
            return self._combined()
        _check_loss(self.name, self.settings)
        if self.mixup is not None and LOSSES[self.name].kind != "class":
            raise ValueError(f"mixup needs a loss with classes, which {self.name} is not; leave out mixup")
        return self

    def _combined(self) -> Self:
        if self.combine not in COMBINERS:
            raise ValueError(f"combine must be one of {', '.join((SUM, *COMBINERS))}; got {self.combine!r}")
        terms = {"pair": self.pair, "mixup": self.mixup, "distil_heads": self.distil_heads}
        for term, given in terms.items():
            if given is not None:
                raise ValueError(
                    f"{term} is a term of the sum of heads; leave it out, or set combine to {SUM}"
                )
        try:
            check_combiner(self.combine, self.settings)
        except UserError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What is computed: keys of the tables of losses and combiners."""
        if self.combine != SUM:
            return (self.combine,)
        return (self.name,) if self.pair is None else (self.name, self.pair.name)


def _check_loss(name: str, settings: Settings) -> None:
    if name not in LOSSES:
        raise ValueError(f"name must be one of {', '.join(LOSSES)}; got {name!r}")
    try:
        check_settings(name, settings)
    except UserError as error:
        raise ValueError(str(error)) from error
