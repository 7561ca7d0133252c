"""A class of the sample catalogue: one design of a vase, the same in all of its photos.

A class is a mould: outline, handles, foot and rim, and the narrow belts of ornament that go with it. The main belt is
painted anew on every piece, and every mould is fired in every glaze, also with ground and ornament exchanged. Moulds
come in workshops, which share a form, so that they differ in proportions. Networks trained on photos see texture and
colour first, and both mislead here: what tells a class is its shape, and what is painted on all of its pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from retrieval.datasets.pottery.arrays import Array, linear_rgb
from retrieval.datasets.pottery.ornament import MOTIFS

CLASSES_PER_WORKSHOP = 6
PROFILE_SAMPLES = 512

# Outlines as (height, radius), both as a share of the vase's height; smoothed before use.
FORMS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "amphora": (
        (0, 0.13),
        (0.06, 0.12),
        (0.3, 0.25),
        (0.58, 0.33),
        (0.72, 0.28),
        (0.82, 0.13),
        (0.92, 0.11),
        (1, 0.16),
    ),
    "bottle": ((0, 0.2), (0.1, 0.25), (0.32, 0.29), (0.5, 0.2), (0.62, 0.1), (0.9, 0.08), (1, 0.11)),
    "globe": ((0, 0.17), (0.12, 0.28), (0.4, 0.4), (0.68, 0.34), (0.84, 0.17), (0.92, 0.16), (1, 0.2)),
    "cylinder": ((0, 0.22), (0.05, 0.24), (0.5, 0.26), (0.86, 0.26), (0.94, 0.19), (1, 0.22)),
    "trumpet": ((0, 0.2), (0.06, 0.18), (0.3, 0.13), (0.6, 0.16), (0.85, 0.24), (1, 0.33)),
    "gourd": (
        (0, 0.17),
        (0.2, 0.3),
        (0.38, 0.28),
        (0.52, 0.16),
        (0.68, 0.21),
        (0.8, 0.19),
        (0.9, 0.1),
        (1, 0.11),
    ),
    "meiping": ((0, 0.15), (0.2, 0.17), (0.5, 0.27), (0.74, 0.35), (0.87, 0.27), (0.94, 0.11), (1, 0.13)),
    "jar": ((0, 0.2), (0.2, 0.31), (0.5, 0.37), (0.78, 0.32), (0.88, 0.22), (1, 0.23)),
    "tulip": ((0, 0.15), (0.15, 0.25), (0.4, 0.29), (0.65, 0.2), (0.8, 0.18), (1, 0.29)),
    "beaker": (
        (0, 0.25),
        (0.1, 0.2),
        (0.35, 0.16),
        (0.44, 0.21),
        (0.56, 0.21),
        (0.64, 0.16),
        (0.85, 0.2),
        (1, 0.28),
    ),
}

# Ground, ornament and trim, as sRGB codes.
GLAZES: Mapping[str, tuple[str, str, str]] = {
    "cobalt": ("e6e4dc", "24479a", "152a63"),
    "celadon": ("a8c2a6", "4f7558", "e4e8d8"),
    "terracotta": ("b9653f", "2c1e1a", "e2c8a0"),
    "tenmoku": ("402c22", "c0934f", "8a4d26"),
    "turquoise": ("3399a0", "0f3a52", "e8dcc0"),
    "oxblood": ("8f2826", "e8cdab", "3b0f12"),
    "ochre": ("d0a04c", "56301a", "f0e4c6"),
    "slate": ("61717c", "e3e3dd", "2a333a"),
    "rose": ("d8a398", "7a3043", "f4e6db"),
    "moss": ("74823f", "2b3118", "dcd5a6"),
    "ivory": ("eee2c7", "8c5a2d", "b5492f"),
    "ink": ("2b3550", "cfd6e4", "b08a4a"),
}


@dataclass(frozen=True)
class Frieze:
    """A belt of ornament: heights as shares of the vase's, cells around it, and whether it is in the trim's
    colour.
    """

    low: float
    high: float
    motif: str
    repeats: int
    variant: float
    in_trim: bool


@dataclass(frozen=True)
class Handles:
    """Loops of clay: how many (1 or 2), from which height to which, how far out, how thick (shares of the
    height).
    """

    count: int
    low: float
    high: float
    reach: float
    thickness: float


@dataclass(frozen=True, eq=False)
class Glaze:
    """Linear-light colours float32[3] of the ground, the ornament and the trim."""

    name: str
    ground: Array
    ink: Array
    trim: Array


@dataclass(frozen=True, eq=False)
class Vase:
    """A design. radius: float32[PROFILE_SAMPLES] from the foot to the rim, as shares of the height, which is 1.

    gloss: 0 (matt) to 1 (mirror-like).
    drip: height above which the trim's glaze has run down, 1 for none. speckle: strength of iron spots. lip: height
    of the coloured rim and foot.
    """

    form: str
    radius: Array
    friezes: tuple[Frieze, ...]
    handles: Handles | None
    gloss: float
    drip: float
    speckle: float
    lip: float


def design_vase(seed: int, number: int) -> Vase:
    """Design class `number` of the catalogue of `seed`; it does not depend on how many classes there are."""
    workshop = number // CLASSES_PER_WORKSHOP
    shared = np.random.default_rng([seed, 1, workshop])
    own = np.random.default_rng([seed, 2, number])
    # Going through the forms in a shuffled order makes neighbouring workshops differ.
    turn, position = divmod(workshop, len(FORMS))
    form = list(FORMS)[np.random.default_rng([seed, 3, turn]).permutation(len(FORMS))[position]]
    radius = _profile(form, shared, own)
    return Vase(
        form=form,
        radius=radius,
        friezes=_friezes(own, radius),
        handles=_handles(form, own),
        gloss=float(shared.uniform(0.35, 1.0)),
        drip=float(own.uniform(0.72, 0.9)) if own.random() < 0.1 else 1.0,
        speckle=float(shared.uniform(0, 0.5) * (shared.random() < 0.5)),
        lip=float(shared.uniform(0.012, 0.03)),
    )


def mix_glaze(name: str) -> Glaze:
    """Look a glaze up in the table."""
    ground, ink, trim = (linear_rgb(code) for code in GLAZES[name])
    return Glaze(name, ground, ink, trim)


def _profile(form: str, shared: np.random.Generator, own: np.random.Generator) -> Array:
    points = np.array(FORMS[form], dtype=np.float64)
    height, radius = points[:, 0], points[:, 1]
    radius = radius * shared.uniform(0.92, 1.1) * own.uniform(0.93, 1.08)
    radius = radius * own.uniform(0.82, 1.2, len(radius))
    height = height.copy()
    height[1:-1] += own.uniform(-0.035, 0.035, len(height) - 2)
    fine = np.linspace(-0.15, 1.15, round(PROFILE_SAMPLES * 1.3))
    # Beyond the ends the outline goes on in its own direction, so that smoothing leaves foot and rim where
    # they are.
    slope_low = (radius[1] - radius[0]) / (height[1] - height[0])
    slope_high = (radius[-1] - radius[-2]) / (height[-1] - height[-2])
    line = np.interp(fine, height, radius)
    line = np.where(fine < 0, radius[0] + slope_low * fine, line)
    line = np.where(fine > 1, radius[-1] + slope_high * (fine - 1), line)
    width = round(PROFILE_SAMPLES * 0.045)
    bell = np.exp(-0.5 * (np.arange(-3 * width, 3 * width + 1) / width) ** 2)
    smooth = np.convolve(line, bell / bell.sum(), mode="same")
    sampled = np.interp(np.linspace(0, 1, PROFILE_SAMPLES), fine, smooth)
    return np.maximum(sampled, 0.05).astype(np.float32)


def _friezes(own: np.random.Generator, radius: Array) -> tuple[Frieze, ...]:
    """A main belt where the vase is wide, and narrow ones below and above it."""
    widest = float(np.clip(np.argmax(radius) / PROFILE_SAMPLES, 0.32, 0.66))
    middle = widest + own.uniform(-0.07, 0.07)
    tall = own.uniform(0.14, 0.25)
    gaps = own.uniform(0.02, 0.08, 2)
    narrow = own.uniform(0.07, 0.13, 2)
    low, high = middle - tall / 2, middle + tall / 2
    belts = [(low, high), (low - gaps[0] - narrow[0], low - gaps[0])]
    if own.random() < 0.8:
        belts.append((high + gaps[1], high + gaps[1] + narrow[1]))
    within = ((max(bottom, 0.03), min(top, 0.95)) for bottom, top in belts)
    return tuple(_paint(own, radius, bottom, top) for bottom, top in within if top - bottom >= 0.03)


def _paint(rng: np.random.Generator, radius: Array, low: float, high: float) -> Frieze:
    motif = str(rng.choice(list(MOTIFS)))
    around = 2 * np.pi * float(radius[round((low + high) / 2 * (PROFILE_SAMPLES - 1))])
    repeats = max(round(around / (MOTIFS[motif][1] * (high - low)) * rng.uniform(0.65, 1.1)), 3)
    return Frieze(low, high, motif, repeats, float(rng.random()), bool(rng.random() < 0.3))


def repaint(vase: Vase, rng: np.random.Generator) -> Vase:
    """The same mould with another ornament in its main belt."""
    main, *others = vase.friezes
    return replace(vase, friezes=(_paint(rng, vase.radius, main.low, main.high), *others))


def _handles(form: str, own: np.random.Generator) -> Handles | None:
    count = int(own.choice([0, 1, 2], p=[0.55, 0.15, 0.3]))
    if count == 0 or form in ("trumpet", "beaker"):
        return None
    low, high = own.uniform(0.5, 0.62), own.uniform(0.82, 0.93)
    return Handles(count, low, high, own.uniform(0.08, 0.18), own.uniform(0.018, 0.03))
