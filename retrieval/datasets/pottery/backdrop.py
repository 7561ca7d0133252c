"""The table a vase stands on and the wall behind it."""

# Arithmetic with an `Array` is Any to mypy, see its definition.
# mypy: disable-error-code=no-any-return

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from retrieval.datasets.pottery.arrays import Array, smoothstep, value_noise
from retrieval.datasets.pottery.design import Vase
from retrieval.datasets.pottery.ornament import MOTIFS
from retrieval.datasets.pottery.scene import Scene
from retrieval.datasets.pottery.surface import Rays, radius_at

_SHADOW_HEIGHTS = np.linspace(0.03, 0.97, 9, dtype=np.float32)


def paint_backdrop(vase: Vase, scene: Scene, rays: Rays, size: int, rng: np.random.Generator) -> Array:
    """Linear-light colours float32[size * size, 3] of what lies behind the vase, with the vase's shadow."""
    clouds = value_noise(rng, size, (int(rng.integers(2, 5)), int(rng.integers(2, 5)))).ravel()
    grain = value_noise(rng, size, (3, 40), 2).ravel()
    wall_z = np.float32(rng.uniform(-1.6, -0.7))
    origin, d = rays.origin, rays.directions
    with np.errstate(divide="ignore", invalid="ignore"):
        to_table = np.where(d[:, 1] < 0, -origin[1] / d[:, 1], np.inf)
        to_wall = np.where(d[:, 2] < 0, (wall_z - origin[2]) / d[:, 2], np.inf)
    on_table = to_table < to_wall
    t = np.where(on_table, to_table, np.minimum(to_wall, 1e3))
    x, y, z = (origin[axis] + t * d[:, axis] for axis in range(3))

    wall = _texture(scene.wall, x, y, clouds, grain, rng)
    table = _texture(scene.table, x, z, clouds, grain, rng)
    colour = np.where(
        on_table[:, None], scene.table_colour * table[:, None], scene.wall_colour * wall[:, None]
    )
    facing = np.where(on_table, scene.towards_light[1], max(float(scene.towards_light[2]), 0.15))
    # Shadows are soft, so every other pixel of every other row is enough, and takes a quarter of the time.
    coarse = (axis.reshape(size, size)[::2, ::2] for axis in (x, y, z))
    shadow = Image.fromarray(_shadow(vase, scene, *coarse)).resize((size, size), Image.Resampling.BILINEAR)
    lit = 1 - 0.75 * np.asarray(shadow).ravel()
    # The foot keeps the light of the sky away from the table around it, and so does the corner below the
    # wall.
    away = np.hypot(x, z) / vase.radius[0]
    nearby = np.where(on_table, 1 - 0.6 * smoothstep(1.9, 0.95, away), 1.0)
    corner = 0.75 + 0.25 * smoothstep(0, 0.35, np.where(on_table, z - wall_z, y).astype(np.float32))
    light = scene.light * (0.55 * facing * lit)[:, None] + scene.sky * (nearby * corner)[:, None]
    return (colour * light).astype(np.float32)


def _texture(kind: str, u: Array, v: Array, clouds: Array, grain: Array, rng: np.random.Generator) -> Array:
    """Brightness about 1 of a material at places (u, v)."""
    pitch, angle = rng.uniform(6, 16), rng.uniform(-0.5, 0.5)
    # Sine and cosine as plain numbers: numpy's own scalars would make every array one of float64.
    sine, cosine = math.sin(angle), math.cos(angle)
    across = u * cosine + v * sine
    down = v * cosine - u * sine
    if kind == "print":
        # Wallpaper or cloth with the ornaments of vases, so that seeing a motif is not enough.
        motif, width = MOTIFS[str(rng.choice(list(MOTIFS)))]
        rows = down * pitch * 0.4
        ink = motif(across * pitch * 0.4 / width, rows - np.floor(rows), rng.random())
        return 1.05 - rng.uniform(0.25, 0.7) * ink + 0.04 * clouds
    if kind == "gradient":
        return 0.9 + 0.25 * np.tanh(across) + 0.02 * clouds
    if kind == "cloth":
        weave = np.sin(across * pitch * 9) * np.sin(down * pitch * 9)
        stripe = smoothstep(-0.2, 0.2, np.sin(across * pitch * 0.8)) if angle > 0 else 0.5
        return 0.88 + 0.1 * weave + 0.2 * stripe + 0.06 * clouds
    if kind in ("planks", "wood"):
        board = np.floor(across * pitch * 0.35)
        shade = np.sin(board * 12.9898) * 0.1
        seam = smoothstep(0.03, 0.0, np.abs(across * pitch * 0.35 - board))
        return (
            0.95
            + shade
            + 0.13 * np.sin(down * 3 + across * 34 + 3 * clouds) * 0.6
            + 0.08 * grain
            - 0.4 * seam
        )
    if kind == "tiles":
        edge = np.minimum(np.abs(_saw(across * pitch * 0.3)), np.abs(_saw(down * pitch * 0.3)))
        return 1.0 - 0.3 * smoothstep(0.04, 0.01, edge) + 0.05 * clouds
    if kind == "stone":
        return 0.9 + 0.16 * clouds + 0.12 * np.sin(5 * across + 4 * clouds) * smoothstep(0.2, 0.9, clouds)
    return 0.95 + 0.07 * clouds


def _saw(x: Array) -> Array:
    return x - np.floor(x) - np.float32(0.5)


def _shadow(vase: Vase, scene: Scene, x: Array, y: Array, z: Array) -> Array:
    """How much of the lamp the vase hides from each place, 0 to 1; the lamp is wide, so edges are soft."""
    light = scene.towards_light
    dark = np.zeros_like(x)
    for height in _SHADOW_HEIGHTS:
        rise = (height - y) / light[1]
        inside = np.sqrt((x + rise * light[0]) ** 2 + (z + rise * light[2]) ** 2) - radius_at(
            vase, np.asarray(height)
        )
        soft = 0.03 + 0.12 * np.clip(rise, 0, 2)
        dark = np.maximum(dark, (rise > 0) * np.clip(0.5 - inside / soft, 0, 1))
    return dark.astype(np.float32)
