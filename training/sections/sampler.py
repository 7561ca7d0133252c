"""Which images come together in a batch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from training.sections.section import Rate, Section


class SamplerSection(Section):
    """Which images come together in a batch.

    images_per_class: batches hold batch / images_per_class classes, with so many images of each; null = a plain
    shuffle. hard_classes: a class brings so many of its most similar classes into its batch (SCHM).
    hard_temperature: how strictly; near 0 the most similar, the larger the more at random.
    """

    images_per_class: Annotated[int, Field(ge=2, le=10_000)] | None = None
    hard_classes: Annotated[int, Field(ge=1, le=10_000)] | None = None
    hard_temperature: Rate = 0.1

    @model_validator(mode="after")
    def _hard_classes_need_balance(self) -> Self:
        if self.hard_classes is not None and self.images_per_class is None:
            raise ValueError(
                "hard_classes fills batches class by class; set images_per_class too, to 4 for example"
            )
        return self
