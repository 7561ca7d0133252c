"""What all parts of a recipe have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number that may be zero."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above zero."""


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused and values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSection(Section):
    """What every recipe has, whatever it trains. packaged: the folder of those recipes that come with the project."""

    packaged: ClassVar[Path]

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
