"""What changes from photo to photo of one vase: camera, light, backdrop and the flaws of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.datasets.pottery.arrays import Array, linear_rgb
from retrieval.datasets.pottery.design import GLAZES

WALLS = ("plaster", "gradient", "cloth", "planks", "tiles", "print", "print", "print")
TABLES = ("wood", "stone", "cloth", "plain", "print", "print")
WALL_COLOURS = (
    "d8d2c6",
    "8f9aa3",
    "b8c4b4",
    "c9b79c",
    "5d5a58",
    "e9e6e1",
    "7c5f4c",
    "a9b8c9",
    "40484f",
    "c7a6a0",
)
TABLE_COLOURS = ("9a6f47", "5c3f2a", "cbb391", "8d8d8b", "d9d5cc", "3f3b39", "b98d5e", "6e7b80")


@dataclass(frozen=True, eq=False)
class Scene:
    """One photo's circumstances; lengths are in heights of the vase, angles in radians.

    turn: rotation of the vase about its axis. elevation, roll, distance: of the camera.
    share: of the frame's height that the vase takes up; above 1 it is cut off.
    shift: of the vase in the frame (right, up), -1..1. stretch: squeeze of the width.
    towards_light: unit vector float32[3]. light, sky: linear colours of the lamp and of the light from all round.
    tint, hue, saturation: gain of each channel by the camera, turn of all hues, strength of all colours.
    kiln: gain of the glaze's channels. glaze: what the vase is fired in.
    reserved: whether ground and ornament have exchanged their colours.
    """

    turn: float
    elevation: float
    roll: float
    distance: float
    share: float
    shift: tuple[float, float]
    stretch: float
    towards_light: Array
    light: Array
    sky: Array
    tint: Array
    hue: float
    saturation: float
    wall: str
    wall_colour: Array
    table: str
    table_colour: Array
    kiln: Array
    glaze: str
    reserved: bool
    exposure: float
    blur: float
    noise: float
    vignette: float
    jpeg_quality: int


def arrange_scene(rng: np.random.Generator) -> Scene:
    """Draw the circumstances of one photo."""
    azimuth, height = rng.uniform(-1.25, 1.25), rng.uniform(0.3, 1.1)
    towards = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    warmth = rng.uniform(-0.32, 0.4)
    white = np.array([1 + warmth * 0.75, 1 + warmth * 0.12, 1 - warmth * 0.85])
    strength = rng.uniform(1.2, 3.0)
    return Scene(
        turn=rng.uniform(0, 2 * np.pi),
        elevation=rng.uniform(0.02, 0.34),
        roll=rng.normal(0, 0.06),
        distance=rng.uniform(2.6, 5.0),
        share=rng.uniform(0.6, 1.05),
        shift=(rng.uniform(-0.2, 0.2), rng.uniform(-0.14, 0.14)),
        stretch=rng.uniform(0.96, 1.04),
        towards_light=towards.astype(np.float32),
        light=(white * strength).astype(np.float32),
        sky=(np.array([0.9, 0.97, 1.08]) * rng.uniform(0.15, 0.55)).astype(np.float32),
        tint=(1 + rng.normal(0, 0.07, 3)).astype(np.float32),
        hue=rng.normal(0, 0.16),
        saturation=rng.uniform(0.5, 1.05),
        wall=str(rng.choice(WALLS)),
        wall_colour=linear_rgb(str(rng.choice(WALL_COLOURS))) * np.float32(rng.uniform(0.6, 1.0)),
        table=str(rng.choice(TABLES)),
        table_colour=linear_rgb(str(rng.choice(TABLE_COLOURS))) * np.float32(rng.uniform(0.7, 1.1)),
        kiln=(1 + rng.normal(0, 0.08, 3)).astype(np.float32),
        glaze=str(rng.choice(list(GLAZES))),
        reserved=bool(rng.random() < 0.4),
        exposure=rng.uniform(0.72, 1.15),
        blur=float(max(rng.normal(0.2, 0.3), 0)),
        noise=rng.uniform(0.003, 0.02),
        vignette=rng.uniform(0, 0.35),
        jpeg_quality=int(rng.integers(78, 95)),
    )
