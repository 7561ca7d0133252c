"""The optimiser and its rates."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from training.sections.section import Factor, Rate, Section


class OptimiserSection(Section):
    """SGD. A parameter's rate is `lr` (a classifier's: `classifier_lr`) x its head's factor x its block's factor.

    The trunk takes the first head's factor. block_factors: a list of one factor per block, or a mapping from block
    number (1 = the first after the stem) to factor, 1 where not named. stem_factor: the same for the stem.
    """

    lr: Rate = 1e-3
    classifier_lr: Rate = 1e-2
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Factor = 5e-4
    block_factors: Annotated[tuple[Factor, ...], Field(min_length=1)] | dict[int, Factor] | None = None
    stem_factor: Factor = 1.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum > 0; set nesterov to false or momentum to 0.9")
        return self
