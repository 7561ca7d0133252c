"""The optimiser and its rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from training.sections.section import Factor, Rate, Section

NamedFactors = Literal["dagger", "double_dagger", "star"]
"""The hand-set rates of Ro & Choi (AutoLR, AAAI 2021) by the marks of their table; see `training.layer_rates`."""


class FactorRule(Section):
    """Factors that go from `first` at block 1 to `last` at the last block, in equal ratios or in equal steps."""

    first: Rate
    last: Rate
    shape: Literal["geometric", "linear"] = "geometric"


def _kind(value: Any) -> str:
    """Which of the ways of writing factors a value is meant as, so that a mistake is reported in that one's terms."""
    if isinstance(value, str):
        return "name"
    if isinstance(value, FactorRule):
        return "rule"
    if isinstance(value, Mapping):
        return "rule" if any(key in FactorRule.model_fields for key in value) else "mapping"
    return "list"


BlockFactors = Annotated[
    Annotated[NamedFactors, Tag("name")]
    | Annotated[FactorRule, Tag("rule")]
    | Annotated[dict[int, Factor], Tag("mapping")]
    | Annotated[tuple[Factor, ...], Field(min_length=1), Tag("list")],
    Discriminator(_kind),
]


class OptimiserSection(Section):
    """The optimiser. A parameter's rate is `lr` (of what belongs to the loss: `classifier_lr`) x its head's factor x
    its block's factor; the trunk takes the first head's factor.

    block_factors: one factor per block, 1 being the first after the stem: a list; a mapping from block number to
    factor, 1 where not named; a rule such as {first: 0.1, last: 10}; or `dagger`, `double_dagger`, `star`.
    stem_factor: the same for the stem. momentum, nesterov: of sgd alone. betas, eps: of adam and adamw alone.
    clip_value: no single gradient counts for more than this; null = as it is.
    """

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Rate = 1e-3
    classifier_lr: Rate = 1e-2
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Factor = 5e-4
    clip_value: Rate | None = None
    block_factors: BlockFactors | None = None
    stem_factor: Factor = 1.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.kind == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum > 0; set nesterov to false or momentum to 0.9")
        return self
