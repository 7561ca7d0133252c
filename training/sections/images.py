"""How images become pixels."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.sections.section import Section

Area = Annotated[float, Field(gt=0, le=1)]
Ratio = Annotated[float, Field(ge=0.1, le=10)]


class CropSection(Section):
    """Random-resized crop. scale: the least and the largest area of the crop, as parts of the image. ratio: the same
    for its width over its height. source: side of the square that images are kept at, to be cut from; null = 1.375
    times the training pixels, so that a crop of half the area loses nothing.
    """

    scale: tuple[Area, Area] = (0.16, 1.0)
    ratio: tuple[Ratio, Ratio] = (0.75, 1.3333)
    source: Annotated[int, Field(ge=16, le=2048)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name, (least, most) in {"scale": self.scale, "ratio": self.ratio}.items():
            if least > most:
                raise ValueError(f"{name} must go from the smaller to the larger; got {least:g}, {most:g}")
        return self


class PadSection(Section):
    """The images are framed by so many pixels on each side, and a square of the size they had is cut anywhere, as is
    usual for CIFAR. mode: the frame mirrors the image (`reflect`), or holds zeros once images are normalised, which is
    the mean colour.
    """

    pixels: Annotated[int, Field(ge=1, le=256)] = 4
    mode: Literal["reflect", "zeros"] = "reflect"


class ColourSection(Section):
    """Random colours, for classes that are not told apart by colour, such as models of cars. strength: how far
    brightness, contrast, saturation and hue are changed, 0 = not at all. grey: share of the images that lose all
    colour.
    """

    strength: Annotated[float, Field(ge=0, le=1)] = 0.4
    grey: Annotated[float, Field(ge=0, le=1)] = 0.2


class ImagesSection(Section):
    """How images become pixels. Training squashes to pixels x pixels, or cuts random crops where there is a `crop`, and
    shifts what it has squashed where there is a `pad`. mirror: half of the training images are mirrored.

    scored_pixels: side of the images that are scored and that the bundle embeds; null = as `pixels`. What a network
    has learned on crops, which show things larger than whole images do, it finds better in larger images (Touvron et
    al. 2019, "Fixing the train-test resolution discrepancy"). Scoring squashes to `resize` (null = no larger) and cuts
    the centre.
    """

    pixels: Annotated[int, Field(ge=16, le=1024)] = 224
    scored_pixels: Annotated[int, Field(ge=16, le=1024)] | None = None
    resize: Annotated[int, Field(ge=16, le=1200)] | None = None
    mirror: bool = True
    crop: CropSection | None = None
    pad: PadSection | None = None
    colour: ColourSection | None = None

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        side = self.scored_side
        if self.resize is not None and self.resize < side:
            name = "pixels" if self.scored_pixels is None else "scored_pixels"
            raise ValueError(f"resize {self.resize} is smaller than {name} {side}, so no crop can be cut")
        return self

    @model_validator(mode="after")
    def _one_kind_of_crop(self) -> Self:
        if self.pad is not None and self.crop is not None:
            raise ValueError("give crop or pad, not both")
        if self.pad is not None and self.pad.pixels >= self.pixels:
            raise ValueError(f"pad.pixels must be smaller than pixels ({self.pixels}); got {self.pad.pixels}")
        return self

    @property
    def scored_side(self) -> int:
        """Side of the images that are scored and embedded."""
        return self.scored_pixels or self.pixels

    @property
    def training_source(self) -> int:
        """Side of the squares that training images are prepared at, before augmentation."""
        if self.crop is None:
            return self.pixels
        return self.crop.source or math.ceil(1.375 * self.pixels)
