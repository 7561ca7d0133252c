"""Where a ray meets a vase: a surface of revolution, its flat opening, and its handles."""

# Arithmetic with an `Array` is Any to mypy, see its definition.
# mypy: disable-error-code=no-any-return

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.datasets.pottery.arrays import Array
from retrieval.datasets.pottery.design import PROFILE_SAMPLES, Handles, Vase

Parts = np.ndarray[Any, np.dtype[np.int8]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

# Steps along a ray through the vase, and halvings of the step in which the surface was passed: at the
# picture's size a finer march changes no pixel visibly.
MARCH_STEPS, BISECTIONS = 36, 6


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays from one point. origin: float32[3]; directions: float32[n, 3], so long that a step of 1 is 1 in
    depth.
    """

    origin: Array
    directions: Array


@dataclass(frozen=True, eq=False)
class Hits:
    """What each ray meets. depth: float32[n], infinite where nothing is met.

    normal: float32[n, 3], unit. place: float32[n, 3], point met. part: int8[n], one of BODY, OPENING, HANDLE.
    """

    depth: Array
    normal: Array
    place: Array
    part: Parts


NOTHING, BODY, OPENING, HANDLE = -1, 0, 1, 2


def radius_at(vase: Vase, height: Array) -> Array:
    """Radius of the outline at heights of any shape; that of foot or rim beyond them."""
    place = np.clip(height * np.float32(PROFILE_SAMPLES - 1), 0, PROFILE_SAMPLES - 1)
    return vase.radius[place.astype(np.int32)]


def meet(vase: Vase, rays: Rays, turn: float) -> Hits:
    """First meeting of each ray with the vase, whose handles stand at the angle `turn`."""
    count = len(rays.directions)
    depth = np.full(count, np.inf, np.float32)
    part = np.full(count, NOTHING, np.int8)
    normal = np.zeros((count, 3), np.float32)
    _meet_body(vase, rays, depth, normal, part)
    if vase.handles is not None:
        for centre, thickness in _loops(vase, vase.handles, turn):
            _meet_tube(rays, centre, thickness, depth, normal, part)
    with np.errstate(invalid="ignore"):  # infinity times zero, where nothing is met
        place = rays.origin + rays.directions * depth[:, None]
    return Hits(depth, normal, place, part)


def _meet_body(vase: Vase, rays: Rays, depth: Array, normal: Array, part: Parts) -> None:
    origin, d = rays.origin, rays.directions
    # The cylinder around the vase, from foot to rim, bounds the march.
    widest = vase.radius.max() * np.float32(1.001)
    a = d[:, 0] ** 2 + d[:, 2] ** 2
    b = origin[0] * d[:, 0] + origin[2] * d[:, 2]
    c = origin[0] ** 2 + origin[2] ** 2 - widest**2
    root = b * b - a * c
    chosen = np.flatnonzero(root > 0)
    d, a, b, root = d[chosen], a[chosen], b[chosen], np.sqrt(root[chosen])
    near, far = (-b - root) / a, (-b + root) / a
    with np.errstate(divide="ignore"):
        ends = np.stack([-origin[1] / d[:, 1], (1 - origin[1]) / d[:, 1]])
    near, far = np.maximum(near, ends.min(axis=0)), np.minimum(far, ends.max(axis=0))
    in_reach = near < far
    chosen, d, near, far, lid = (values[in_reach] for values in (chosen, d, near, far, ends[1]))

    # The opening: the disc at height 1, met if the ray has not passed the wall before.
    x, z = origin[0] + lid * d[:, 0], origin[2] + lid * d[:, 2]
    in_lid = (lid > 0) & (np.hypot(x, z) <= vase.radius[-1])

    low, high = near.copy(), far.copy()
    found = np.zeros(len(chosen), bool)
    step = (far - near) / MARCH_STEPS
    last = near
    for number in range(1, MARCH_STEPS + 1):
        t = near + step * number
        open_rays = ~found
        inside = open_rays & _inside(vase, origin, d, t)
        low = np.where(inside, last, low)
        high = np.where(inside, t, high)
        found |= inside
        last = t
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        inside = _inside(vase, origin, d, middle)
        high = np.where(inside, middle, high)
        low = np.where(inside, low, middle)

    x, y, z = (origin[axis] + high * d[:, axis] for axis in range(3))
    slope = (radius_at(vase, y + np.float32(0.004)) - radius_at(vase, y - np.float32(0.004))) / np.float32(
        0.008
    )
    outward = np.stack([x, -slope * np.hypot(x, z), z], axis=1)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + np.float32(1e-6)

    first_is_lid = in_lid & (~found | (lid <= high + np.float32(0.01)))
    found |= first_is_lid
    rows = chosen[found]
    depth[rows] = np.where(first_is_lid, lid, high)[found]
    normal[rows] = np.where(first_is_lid[:, None], np.array([0, 1, 0], np.float32), outward)[found]
    part[rows] = np.where(first_is_lid, OPENING, BODY)[found]


def _inside(vase: Vase, origin: Array, d: Array, t: Array) -> Mask:
    y = origin[1] + t * d[:, 1]
    r2 = (origin[0] + t * d[:, 0]) ** 2 + (origin[2] + t * d[:, 2]) ** 2
    return (r2 < radius_at(vase, y) ** 2) & (y >= 0) & (y <= 1)


def _loops(vase: Vase, handles: Handles, turn: float) -> list[tuple[Array, float]]:
    """Centre line float32[m, 3] and thickness of each handle: a cubic from the shoulder to the neck."""
    loops = []
    t = np.linspace(0, 1, 96, dtype=np.float32)[:, None]
    for number in range(handles.count):
        low, high = (float(radius_at(vase, np.asarray(h, np.float32))) for h in (handles.low, handles.high))
        reach = max(low, high) + handles.reach
        points = np.array(
            [
                [low * 0.97, handles.low],
                [reach, handles.low + 0.03],
                [reach, handles.high + 0.04],
                [high * 0.97, handles.high],
            ],
            dtype=np.float32,
        )
        weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
        line = weights @ points
        angle = turn + np.pi * number
        centre = np.stack([line[:, 0] * np.cos(angle), line[:, 1], line[:, 0] * np.sin(angle)], axis=1)
        loops.append((centre.astype(np.float32), handles.thickness))
    return loops


def _meet_tube(
    rays: Rays,
    centre: Array,
    thickness: float,
    depth: Array,
    normal: Array,
    part: Parts,
) -> None:
    """Meet the spheres along a handle's centre line; they overlap so closely that they look like a tube."""
    origin, d = rays.origin, rays.directions
    length = np.linalg.norm(d, axis=1)
    unit = d / length[:, None]
    # Only rays near the handle: compare with the cone around its bounding sphere.
    middle = (centre.max(axis=0) + centre.min(axis=0)) / 2
    bound = np.linalg.norm(centre - middle, axis=1).max() + np.float32(thickness)
    along = unit @ (middle - origin)
    near = np.flatnonzero(((middle - origin) ** 2).sum() - along**2 < bound**2)
    if not len(near):
        return
    unit = unit[near]
    offsets = centre - origin
    along = unit @ offsets.T
    gap = np.float32(thickness**2) - ((offsets**2).sum(axis=1) - along**2)
    t = np.where(gap > 0, along - np.sqrt(np.maximum(gap, 0)), np.inf)
    which = t.argmin(axis=1)
    t = t[np.arange(len(near)), which] / length[near]
    closer = t < depth[near]
    rows = near[closer]
    depth[rows] = t[closer]
    place = origin + d[rows] * t[closer][:, None]
    normal[rows] = (place - centre[which[closer]]) / np.float32(thickness)
    part[rows] = HANDLE
