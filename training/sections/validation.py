"""What is scored while a run trains."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.sections.section import Section


class ValidationSection(Section):
    """What is scored while training, always on classes that are not trained on.

    split: a split of the data set. holdout: instead, this part of the training classes is set aside.
    holdout_seed: draws the classes that are held out; null = the run's own seed.
    keep: which epoch's weights become the bundle. `best` needs `holdout`, because choosing an epoch by a split that
    is reported later would flatter the report.
    """

    split: str | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] | None = None
    holdout_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    every: Annotated[int, Field(ge=1)] = 1
    k: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 4, 8)
    keep: Literal["last", "best"] = "last"

    @model_validator(mode="after")
    def _honest_choice(self) -> Self:
        if self.split is not None and self.holdout is not None:
            raise ValueError("give split or holdout, not both")
        if self.keep == "best" and self.holdout is None:
            raise ValueError("keep: best chooses among epochs and needs validation.holdout; set holdout: 0.1")
        if self.keep == "best" and 1 not in self.k:
            raise ValueError("keep: best compares recall at 1; add 1 to k")
        return self
