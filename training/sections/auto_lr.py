"""Rates that a run finds for itself."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from training.sections.section import Factor, Rate, Section

Share = Annotated[float, Field(gt=0, le=1)]


class AutoLRSection(Section):
    """AutoLR (Ro & Choi, AAAI 2021) with its authors' constants: an epoch is trained again with other rates until the
    blocks' weight variations ascend well enough from the input to the output.

    threshold: the sorting quality (1 = ascending, 0 = reversed) that the first epoch needs. decay: factor on it from
    one epoch to the next, for as long as it lies above `floor`; strict keeps it as it is. min_factor, max_factor: the
    first epoch's line of wanted variations runs from min_factor x the smallest to max_factor x the largest measured.
    stem_factor: the stem's rate is this x the first block's, once rates have changed.
    max_trials: after so many trials of one epoch the best sorted of them counts. min_rate, max_rate: no block's rate
    leaves this range; if one would come out higher, all go down together. The authors' code has neither a limit on
    trials nor on rates.

    Start rates are the optimiser's. The schedule's factor comes on top of what is found: the authors' drop is
    schedule: {epochs: 50, drops: [0.8], drop_factor: 0.2}.
    """

    threshold: Share = 0.94
    decay: Share = 0.99
    floor: Annotated[float, Field(ge=0, le=1)] = 0.8
    strict: bool = False
    min_factor: Rate = 2.0
    max_factor: Rate = 0.4
    stem_factor: Factor = 0.5
    max_trials: Annotated[int, Field(ge=1, le=10_000)] = 10
    min_rate: Rate = 1e-6
    max_rate: Rate = 1.0

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if self.min_rate >= self.max_rate:
            raise ValueError(f"min_rate {self.min_rate:g} must be below max_rate {self.max_rate:g}")
        return self
