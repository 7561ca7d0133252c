"""How images become pixels."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from training.sections.section import Section


class ImagesSection(Section):
    """How images become pixels. Training squashes to pixels x pixels; scoring squashes to `resize` (as `pixels`
    where null) and cuts the centre. mirror: half of the training images are mirrored.
    """

    pixels: Annotated[int, Field(ge=16, le=1024)] = 224
    resize: Annotated[int, Field(ge=16, le=1200)] | None = None
    mirror: bool = True

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.resize is not None and self.resize < self.pixels:
            raise ValueError(
                f"resize {self.resize} is smaller than pixels {self.pixels}, so no crop can be cut"
            )
        return self
