"""A photo of a vase: rays, glaze, light, camera."""

# Arithmetic with an `Array` is Any to mypy, see its definition.
# mypy: disable-error-code=no-any-return

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from retrieval.datasets.pottery.arrays import Array, mix, smoothstep, to_srgb, value_noise
from retrieval.datasets.pottery.backdrop import paint_backdrop
from retrieval.datasets.pottery.design import Glaze, Vase, mix_glaze, repaint
from retrieval.datasets.pottery.ornament import MOTIFS
from retrieval.datasets.pottery.scene import Scene, arrange_scene
from retrieval.datasets.pottery.surface import HANDLE, NOTHING, OPENING, Rays, meet

# Rendered larger than asked and scaled down, which smooths the edges.
OVERSAMPLING = 1.6


@dataclass(frozen=True, eq=False)
class Photo:
    """An RGB image, the JPEG quality to save it with, and the glaze of the vase in it."""

    image: Image.Image
    jpeg_quality: int
    glaze: str


def photograph(vase: Vase, rng: np.random.Generator, pixels: int) -> Photo:
    """Take one photo under circumstances drawn from `rng`."""
    scene = arrange_scene(rng)
    vase = repaint(vase, rng)
    fired = mix_glaze(scene.glaze)
    if scene.reserved:
        fired = replace(fired, ground=fired.ink, ink=fired.ground)
    size = round(pixels * OVERSAMPLING)
    rays = _camera_rays(scene, size)
    hits = meet(vase, rays, scene.turn)
    colour = paint_backdrop(vase, scene, rays, size, rng)
    drawn = np.flatnonzero(hits.part != NOTHING)
    part, place, normal = hits.part[drawn], hits.place[drawn], hits.normal[drawn]
    spots = value_noise(rng, size, (56, 56), 2).ravel()[drawn]
    surface = _painted(vase, fired, scene, part, place, spots)
    view = -rays.directions[drawn]
    view /= np.sqrt((view**2).sum(axis=1, keepdims=True))
    colour[drawn] = _shade(vase, scene, surface, part, place, normal, view)
    image = _develop(colour.reshape(size, size, 3), scene, pixels, rng)
    return Photo(image, scene.jpeg_quality, fired.name)


def _camera_rays(scene: Scene, size: int) -> Rays:
    """One ray a pixel, row by row from the top left."""
    sine, cosine = math.sin(scene.elevation), math.cos(scene.elevation)
    target = np.array([0, 0.5, 0])
    origin = target + scene.distance * np.array([0, sine, cosine])
    forward, up = -np.array([0, sine, cosine]), np.array([0, cosine, -sine])
    steps = (np.arange(size) + 0.5) / size * 2 - 1
    right, above = np.meshgrid((steps - scene.shift[0]) * scene.stretch, -steps - scene.shift[1])
    u = right * math.cos(scene.roll) - above * math.sin(scene.roll)
    v = right * math.sin(scene.roll) + above * math.cos(scene.roll)
    half = 0.5 / scene.share / scene.distance
    directions = forward + half * (u.ravel()[:, None] * np.array([1.0, 0, 0]) + v.ravel()[:, None] * up)
    return Rays(origin.astype(np.float32), directions.astype(np.float32))


def _painted(vase: Vase, fired: Glaze, scene: Scene, part: Array, place: Array, spots: Array) -> Array:
    """Colour of the surface before light falls on it, linear, float32[n, 3]."""
    height = place[:, 1]
    # The ornament turns with the handles.
    angle = np.arctan2(place[:, 2], place[:, 0]) - np.float32(scene.turn)
    ground, ink, trim = (colour * scene.kiln for colour in (fired.ground, fired.ink, fired.trim))
    colour: Array = np.broadcast_to(ground, (len(height), 3)).astype(np.float32)
    colour = colour * (1 - vase.speckle * smoothstep(0.55, 0.8, spots))[:, None]
    for frieze in vase.friezes:
        rows = np.flatnonzero((height > frieze.low) & (height < frieze.high))
        a = angle[rows] * np.float32(frieze.repeats / (2 * np.pi))
        b = (height[rows] - np.float32(frieze.low)) / np.float32(frieze.high - frieze.low)
        painted = MOTIFS[frieze.motif][0](a, b, frieze.variant)
        colour[rows] = mix(colour[rows], trim if frieze.in_trim else ink, painted.astype(np.float32))
        for edge in (frieze.low, frieze.high):
            line = smoothstep(0.008, 0.004, np.abs(height - np.float32(edge)))
            colour = mix(colour, ink, line)
    if vase.drip < 1:
        # The glaze's edge runs down in tongues, the same ones in every photo of this vase.
        tongues = 0.05 * np.sin(3 * angle) + 0.035 * np.sin(7 * angle + 1) + 0.02 * np.sin(13 * angle + 2)
        colour = mix(colour, trim, smoothstep(-0.006, 0.006, height + tongues - np.float32(vase.drip)))
    rim = smoothstep(1 - 1.4 * vase.lip, 1 - vase.lip, height)
    foot = smoothstep(1.2 * vase.lip, 0.8 * vase.lip, height)
    colour = mix(colour, trim, np.maximum(rim, foot))
    return np.where((part == HANDLE)[:, None], ink, colour).astype(np.float32)


def _shade(
    vase: Vase, scene: Scene, glaze: Array, part: Array, place: Array, normal: Array, view: Array
) -> Array:
    """Light that leaves the surface towards the camera: matt, from the sky and the table, and mirrored."""
    toward = scene.towards_light
    lambert = np.clip(normal @ toward * 0.85 + 0.15, 0, None)
    upward = 0.5 + 0.5 * normal[:, 1]
    bounce = scene.table_colour * scene.light * np.float32(0.25)
    ambient = scene.sky * upward[:, None] + bounce * (1 - upward)[:, None]
    crevice = 0.45 + 0.55 * smoothstep(0, 0.14, place[:, 1])
    colour = glaze * (scene.light * lambert[:, None] * np.float32(0.62) + ambient * crevice[:, None])

    facing = np.clip((normal * view).sum(axis=1), 0, 1)
    mirrored = 2 * (normal * view).sum(axis=1)[:, None] * normal - view
    fresnel = 0.04 + 0.6 * (1 - facing) ** 5
    lamp = np.clip(mirrored @ toward, 0, 1) ** np.float32(20 + 160 * vase.gloss)
    # A window beside the lamp: a soft-edged square in the mirrored direction.
    side = np.array([toward[2], 0, -toward[0]], np.float32) / np.float32(
        np.hypot(toward[0], toward[2]) + 1e-6
    )
    across = mirrored @ side
    above = mirrored[:, 1] - toward[1] * np.float32(0.7)
    pane = (
        smoothstep(0.3, 0.24, np.abs(across)) * smoothstep(0.3, 0.24, np.abs(above)) * (mirrored @ toward > 0)
    )
    bars = 1 - 0.7 * smoothstep(0.035, 0.02, np.minimum(np.abs(across), np.abs(above)))
    shine = vase.gloss * (0.35 * lamp + 0.16 * pane * bars) + 0.5 * fresnel * vase.gloss * upward
    colour = colour + scene.light * shine[:, None] * np.float32(0.8)

    # Inside, the far wall catches light and the depth is dark.
    across_mouth = np.hypot(place[:, 0], place[:, 2]) / vase.radius[-1]
    depth = 0.10 + 0.30 * smoothstep(0.6, -0.9, place[:, 2] / vase.radius[-1])
    lip = smoothstep(0.84, 0.9, across_mouth)
    inner = colour * lip[:, None] + glaze * ambient * (depth * (1 - lip) * 1.4)[:, None]
    return np.where((part == OPENING)[:, None], inner, colour).astype(np.float32)


def _develop(linear: Array, scene: Scene, pixels: int, rng: np.random.Generator) -> Image.Image:
    """From light to an RGB image: exposure, colour cast, vignette, scaling down, blur and noise."""
    size = len(linear)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    fade = 1 - np.float32(scene.vignette) * (axis[:, None] ** 2 + axis[None, :] ** 2) / 2
    light = linear * (scene.tint * np.float32(scene.exposure)) * fade[..., None]
    light = light @ _hue_turn(scene.hue, scene.saturation).T
    light = np.clip(light, 0, None)
    light = light / (1 + 0.25 * light) * np.float32(1.1)  # highlights roll off instead of clipping
    picture = Image.fromarray((to_srgb(np.clip(light, 0, 1)) * 255 + 0.5).astype(np.uint8))
    picture = picture.resize(
        (pixels, pixels), Image.Resampling.BOX if size % pixels == 0 else Image.Resampling.LANCZOS
    )
    if scene.blur > 0.05:
        picture = picture.filter(ImageFilter.GaussianBlur(scene.blur * pixels / 160))
    grain = rng.normal(0, scene.noise * 255, (pixels, pixels, 1)) + rng.normal(
        0, scene.noise * 120, (pixels, pixels, 3)
    )
    return Image.fromarray(np.clip(np.asarray(picture) + grain + 0.5, 0, 255).astype(np.uint8))


def _hue_turn(angle: float, saturation: float) -> Array:
    """Matrix that turns colours about the grey axis and moves them towards or away from it."""
    grey = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return (grey + saturation * (np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * cross)).astype(
        np.float32
    )
