"""From an image to the network's input, the same for a gallery, a query and a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from retrieval.errors import BundleError
from retrieval.images import THUMBNAIL_PIXELS

# Mean and standard deviation of ImageNet's training images, red, green, blue, on a scale of 0 to 1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """The deterministic part of the pipeline; a bundle stores it with the weights.

    pixels: side of the network's square input.
    resize: side of the square that the whole image is squeezed into (its aspect ratio is not kept) before the
        centre `pixels` x `pixels` of it are taken; None means `pixels`, so nothing is cut off. HDhE's authors
        use 256 and 224 for CUB and Cars, 224 and 224 for SOP and In-Shop.
    mean, std: of each channel, on a scale of 0 to 1.
    """

    pixels: int = 224
    resize: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if not 1 <= self.pixels <= 4096:
            raise ValueError(f"pixels must be between 1 and 4096; got {self.pixels}")
        if self.resize is not None and not self.pixels <= self.resize <= 4096:
            raise ValueError(f"resize must be between pixels ({self.pixels}) and 4096; got {self.resize}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(np.isfinite(value) for value in values):
                raise ValueError(f"{name} must be three finite numbers; got {values!r}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive; got {self.std!r}")

    @property
    def short_side(self) -> int:
        """Pixels of the resized square: what `decode_image(at_least=...)` must leave of a large JPEG."""
        return self.resize or self.pixels

    @property
    def decoded_side(self) -> int:
        """The same where a thumbnail may be made too, so that an image put into a gallery and the same image as a query
        are decoded alike.
        """
        return max(self.short_side, THUMBNAIL_PIXELS)

    def prepare(self, image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Resize (bicubic, with antialiasing) and crop an RGB image. Returns uint8[pixels, pixels, 3]."""
        side = self.short_side
        if image.size != (side, side):
            image = image.resize((side, side), Image.Resampling.BICUBIC)
        if side != self.pixels:
            # Rounded as torchvision's CenterCrop does, so that scores compare.
            start = round((side - self.pixels) / 2.0)
            image = image.crop((start, start, start + self.pixels, start + self.pixels))
        # A copy: what `asarray` gives is read-only, which torch warns about.
        return np.array(image, dtype=np.uint8)

    def normalise(
        self,
        batch: np.ndarray[Any, np.dtype[np.uint8]] | torch.Tensor,
        device: torch.device | str | None = None,
    ) -> torch.Tensor:
        """Batch for the network: uint8[n, p, p, 3] to float32[n, 3, p, p] in channels_last memory.

        device: where to compute; the bytes travel, which are a quarter of the floats. None: where the batch
            is.
        """
        images = torch.as_tensor(batch, device=device)
        mean = torch.tensor(self.mean, device=images.device) * 255
        std = torch.tensor(self.std, device=images.device) * 255
        # The layout of the input is already that of channels_last, so the permutation moves no memory.
        return ((images.float() - mean) / std).permute(0, 3, 1, 2)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `model.json`."""
        return {
            "pixels": self.pixels,
            "resize": self.resize,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Inverse of `to_dict`. Raises BundleError, which names the key, where a value cannot be used."""
        known = {"pixels", "resize", "mean", "std"}
        if not isinstance(values, Mapping) or set(values) - known:
            extra = sorted(set(values) - known) if isinstance(values, Mapping) else values
            raise BundleError(f"preprocessing has the keys {sorted(known)}; got {extra!r}")
        try:
            resize = values.get("resize")
            return cls(
                pixels=_whole(values.get("pixels", cls.pixels), "pixels"),
                resize=None if resize is None else _whole(resize, "resize"),
                mean=_three(values.get("mean", cls.mean), "mean"),
                std=_three(values.get("std", cls.std), "std"),
            )
        except ValueError as error:
            raise BundleError(f"preprocessing: {error}") from None


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number; got {value!r}")
    return value


def _three(values: object, name: str) -> tuple[float, float, float]:
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ValueError(f"{name} must be three numbers; got {values!r}")
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise ValueError(f"{name} must be three numbers; got {values!r}")
    red, green, blue = (float(value) for value in values)
    return red, green, blue
