"""The array type and the two soft functions that every part of the renderer uses."""

# Arithmetic with an `Array` is Any to mypy, see its definition.
# mypy: disable-error-code=no-any-return

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

# float32 throughout, for speed. Not said in the type, since numpy's annotations take most sums of such arrays
# with plain numbers for float64.
Array = np.ndarray[Any, Any]


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high` (or the other way round if high < low), smooth between. Any shape."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, weight: Array) -> Array:
    """Blend colours float[..., 3] by weight[...]."""
    return a + (b - a) * weight[..., None]


def linear_rgb(code: str) -> Array:
    """Linear-light colour float32[3] of an sRGB code such as `e8e6df`."""
    srgb = np.array([int(code[at : at + 2], 16) for at in (0, 2, 4)], dtype=np.float32) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear: Array) -> Array:
    """Encode linear light of 0 to 1 for a screen. Any shape."""
    low = linear * 12.92
    high = 1.055 * np.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, low, high).astype(np.float32)


def value_noise(rng: np.random.Generator, size: int, cells: tuple[int, int], octaves: int = 3) -> Array:
    """Cloudy noise float32[size, size] of mean about 0 and range about -1..1; `cells` across and down."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        across, down = cells[0] << octave, cells[1] << octave
        grid = rng.uniform(-1, 1, (down + 1, across + 1)).astype(np.float32)
        layer = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
        total += np.asarray(layer) / 2**octave
    return total
