"""How long a run is, and how its rates change."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.sections.section import RemediedError, Section


class StageSection(Section):
    """How long, and how the rates change. drops: where they are multiplied by `drop_factor`, as parts of the epochs
    (0.5 = half way). warmup_epochs: rates grow in a straight line from zero over this many epochs.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 40
    shape: Literal["step", "cosine"] = "step"
    drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5,)
    drop_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup_epochs: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            message = f"warmup_epochs {self.warmup_epochs:g} leaves nothing of {_epochs(self.epochs)}"
            raise RemediedError(message, "warmup_epochs", 0, "more epochs")
        return self


class ScheduleSection(StageSection):
    """A stage that may begin with new layers alone and end with averaged weights. frozen_epochs: in the first so many,
    only what is new learns (classifiers, proxies, added layers), not what came with the weights. average: keep a
    moving average of the weights with this decay per step, and score and export that; null = none.
    """

    frozen_epochs: Annotated[int, Field(ge=0)] = 0
    average: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _network_learns(self) -> Self:
        if self.frozen_epochs >= self.epochs:
            message = (
                f"frozen_epochs {self.frozen_epochs} leaves nothing of {_epochs(self.epochs)} for the network"
            )
            raise RemediedError(message, "frozen_epochs", 0, "more epochs")
        return self


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"
