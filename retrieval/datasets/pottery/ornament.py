"""Painted ornament: motifs that repeat around a vase, as functions of the place within one cell.

Each motif takes `a` (angle in repeats, its integer part being the number of the cell), `b` (height within the
frieze, 0 to 1) and the frieze's `variant` in 0..1, and returns how much ink is there, 0 to 1. float32 arrays
of one shape.
"""

# Arithmetic with an `Array` is Any to mypy, see its definition.
# mypy: disable-error-code=no-any-return

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrieval.datasets.pottery.arrays import Array, smoothstep

Motif = Callable[[Array, Array, float], Array]
Indices = np.ndarray[Any, np.dtype[np.int32]]
_EDGE = 0.05


def _inside(distance: Array, edge: float = _EDGE) -> Array:
    """Ink where a signed distance is negative, with a soft edge."""
    return smoothstep(edge, -edge, distance)


def _cell(a: Array) -> Array:
    """Place within a cell, -0.5 to 0.5."""
    return a - np.floor(a) - np.float32(0.5)


def band(a: Array, b: Array, variant: float) -> Array:
    """One broad ring."""
    return _inside(np.abs(b - 0.5) - (0.2 + 0.25 * variant)) + 0 * a


def rings(a: Array, b: Array, variant: float) -> Array:
    """Two to five thin rings."""
    count = 2 + round(3 * variant)
    return _inside(np.abs(_cell(b * count)) - 0.22, 0.08) + 0 * a


def stripes(a: Array, b: Array, variant: float) -> Array:
    """Upright stripes."""
    return _inside(np.abs(_cell(a)) - (0.1 + 0.2 * variant)) + 0 * b


def spiral_lines(a: Array, b: Array, variant: float) -> Array:
    """Slanted lines, as if the vase were twisted."""
    return _inside(np.abs(_cell(a + (1 + 2 * variant) * b)) - 0.2)


def zigzag(a: Array, b: Array, variant: float) -> Array:
    """A zigzag line."""
    ridge = 0.2 + 1.2 * np.abs(_cell(a))
    return _inside(np.abs(b - ridge) - (0.08 + 0.08 * variant))


def double_zigzag(a: Array, b: Array, variant: float) -> Array:
    """Two zigzag lines, one above the other."""
    ridge = 0.1 + 1.0 * np.abs(_cell(a))
    near = np.minimum(np.abs(b - ridge), np.abs(b - ridge - (0.22 + 0.1 * variant)))
    return _inside(near - 0.065)


def wave(a: Array, b: Array, variant: float) -> Array:
    """A wavy line."""
    ridge = 0.5 + 0.28 * np.sin(2 * np.pi * a)
    return _inside(np.abs(b - ridge) - (0.08 + 0.1 * variant))


def crossing_waves(a: Array, b: Array, variant: float) -> Array:
    """Two waves that cross, like a plait."""
    swing = (0.22 + 0.12 * variant) * np.sin(2 * np.pi * a)
    return _inside(np.minimum(np.abs(b - 0.5 - swing), np.abs(b - 0.5 + swing)) - 0.07)


def dots(a: Array, b: Array, variant: float) -> Array:
    """A row of dots."""
    return _inside(np.hypot(_cell(a), b - 0.5) - (0.2 + 0.16 * variant))


def staggered_dots(a: Array, b: Array, variant: float) -> Array:
    """Two rows of dots, one in the other's gaps."""
    row = np.floor(b * 2)
    return _inside(np.hypot(_cell(a + 0.5 * row), (_cell(b * 2)) * 0.7) - (0.16 + 0.1 * variant))


def circles(a: Array, b: Array, variant: float) -> Array:
    """A row of circles, with a dot inside for a high variant."""
    radius = np.hypot(_cell(a), b - 0.5)
    ink = _inside(np.abs(radius - 0.34) - 0.07)
    return np.maximum(ink, _inside(radius - 0.12)) if variant > 0.5 else ink


def lozenges(a: Array, b: Array, variant: float) -> Array:
    """Diamonds, hollow with a kernel for a high variant."""
    distance = np.abs(_cell(a)) + np.abs(b - 0.5)
    if variant > 0.5:
        return np.maximum(_inside(np.abs(distance - 0.42) - 0.06), _inside(distance - 0.14))
    return _inside(distance - (0.3 + 0.2 * variant))


def triangles(a: Array, b: Array, variant: float) -> Array:
    """Teeth that point up or down."""
    return _inside(2 * np.abs(_cell(a)) - b) if variant > 0.5 else _inside(2 * np.abs(_cell(a)) - 1 + b)


def checks(a: Array, b: Array, variant: float) -> Array:
    """A chessboard."""
    rows = 2 + round(2 * variant)
    return smoothstep(-0.15, 0.15, np.sin(2 * np.pi * a) * np.sin(np.pi * rows * b))


def scales(a: Array, b: Array, variant: float) -> Array:
    """Scales of a fish, in rows."""
    rows = 2 + round(2 * variant)
    height = b * rows
    row = np.floor(height)
    radius = np.hypot(_cell(a + 0.5 * row), (height - row) * 0.55)
    return _inside(np.abs(radius - 0.44) - 0.07)


def petals(a: Array, b: Array, variant: float) -> Array:
    """Petals that stand on the lower edge, hollow for a high variant."""
    width = 0.44 * np.sqrt(np.clip(1 - b, 0, 1)) * (0.5 + np.clip(b * 3, 0, 0.5))
    edge = np.abs(_cell(a)) - width
    return _inside(edge) * (1 - _inside(edge + 0.2) * (variant > 0.5))


def leaves(a: Array, b: Array, variant: float) -> Array:
    """A stem with leaves to both sides."""
    side = np.sign(_cell(a * 2))
    across, up = _cell(a * 2), (b - 0.5) * side
    along = across + (0.4 + 0.5 * variant) * up
    leaf = np.hypot(along * 2.2, (up - 0.2) * 2.6) - 0.42
    return np.maximum(_inside(leaf), _inside(np.abs(b - 0.5) - 0.04))


def scroll(a: Array, b: Array, variant: float) -> Array:
    """Spirals of one or two arms."""
    x, y = _cell(a), (b - 0.5) * 0.9
    turn = np.arctan2(y, x) / (2 * np.pi)
    radius = np.hypot(x, y)
    arms = 1 + round(variant)
    ink = _inside(np.abs(_cell(radius * 4.2 - arms * turn)) - 0.22, 0.1)
    return ink * smoothstep(0.5, 0.44, radius)


def hatching(a: Array, b: Array, variant: float) -> Array:
    """Lines in both slants."""
    slope = 0.5 + variant
    one, two = np.abs(_cell(a + slope * b)), np.abs(_cell(a - slope * b))
    return _inside(np.minimum(one, two) - 0.1)


def meander(a: Array, b: Array, variant: float) -> Array:
    """A Greek key, running either way."""
    return _drawn(_MEANDER, a if variant > 0.5 else -a, b)


def steps(a: Array, b: Array, variant: float) -> Array:
    """Stairs that rise or hang."""
    return _drawn(_STEPS, a, b if variant > 0.5 else 1 - b)


def glyphs(a: Array, b: Array, variant: float) -> Array:
    """Three signs of an invented script, symmetrical, in turn."""
    rng = np.random.default_rng(int(variant * 2**31))
    half = rng.random((3, 5, 3)) < 0.55
    signs = np.concatenate([half, half[:, :, 1::-1]], axis=2).astype(np.float32)
    framed = np.pad(signs, ((0, 0), (1, 1), (1, 1)))
    which = np.floor(a).astype(np.int32) % 3
    row, column = _grid_place(a, b, 7)
    return framed[which, row, column]


# Rows from the top. The key's last column is empty, its first row and last row run on into the next cell.
_MEANDER = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 0],
        [1, 0, 0, 0, 0, 0, 1, 0],
        [1, 0, 1, 1, 1, 0, 1, 0],
        [1, 0, 1, 0, 0, 0, 1, 0],
        [1, 0, 1, 1, 1, 1, 1, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1],
    ],
    dtype=np.float32,
)
_STEPS = np.tril(np.ones((5, 5), dtype=np.float32))


def _grid_place(a: Array, b: Array, rows: int, columns: int | None = None) -> tuple[Indices, Indices]:
    columns = columns or rows
    row = np.clip(((1 - b) * rows).astype(np.int32), 0, rows - 1)
    column = np.clip(((a - np.floor(a)) * columns).astype(np.int32), 0, columns - 1)
    return row, column


def _drawn(grid: Array, a: Array, b: Array) -> Array:
    return grid[_grid_place(a, b, *grid.shape)]


# The table that designs choose from. The number is the width of a cell as a multiple of the frieze's height.
MOTIFS: Mapping[str, tuple[Motif, float]] = {
    "band": (band, 1.0),
    "rings": (rings, 1.0),
    "stripes": (stripes, 0.45),
    "spiral lines": (spiral_lines, 0.6),
    "zigzag": (zigzag, 0.9),
    "double zigzag": (double_zigzag, 1.1),
    "wave": (wave, 1.4),
    "crossing waves": (crossing_waves, 1.5),
    "dots": (dots, 0.9),
    "staggered dots": (staggered_dots, 0.6),
    "circles": (circles, 0.95),
    "lozenges": (lozenges, 0.9),
    "triangles": (triangles, 0.8),
    "checks": (checks, 1.0),
    "scales": (scales, 0.6),
    "petals": (petals, 0.55),
    "leaves": (leaves, 1.2),
    "scroll": (scroll, 1.0),
    "hatching": (hatching, 0.7),
    "meander": (meander, 0.9),
    "steps": (steps, 1.0),
    "glyphs": (glyphs, 0.9),
}
