"""What all parts of a recipe have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number that may be zero."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above zero."""


class RemediedError(ValueError):
    """Values that do not go together, and one way out: another value of a key of the same section."""

    def __init__(self, message: str, key: str, value: object, otherwise: str) -> None:
        super().__init__(message)
        self.key, self.value, self.otherwise = key, value, otherwise

    def remedy(self, section: str) -> str:
        """What to do. section: the dotted key of the section in its recipe."""
        return f"give --set {section}.{self.key}={self.value}, or {self.otherwise}"


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused and values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSection(Section):
    """What every recipe has, whatever it trains. packaged: the folder of those recipes that come with the project."""

    packaged: ClassVar[Path]

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
