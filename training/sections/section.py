"""What all parts of a recipe have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number that may be zero."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above zero."""


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused and values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
