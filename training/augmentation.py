"""Random views of training images, made from prepared batches on the device that trains.

A view is a function of its batch, of its image's place there and of a seed alone, so that a resumed run sees what the
killed one would have seen, and many processes see what one would. `part` says which images of a batch are given; None,
that all are.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.batch_part import BatchPart, whole
from training.sections.images import ColourSection, CropSection, ImagesSection, PadSection


def augment(images: Tensor, section: ImagesSection, *, seed: int, part: BatchPart | None = None) -> Tensor:
    """One random view an image, by the recipe: images float[n, 3, s, s] to float[n, 3, pixels, pixels]."""
    if section.crop is not None:
        images = random_resized_crop(
            images, section.crop, pixels=section.pixels, mirror=section.mirror, seed=seed, part=part
        )
    else:
        if section.pad is not None:
            images = pad_and_crop(images, section.pad, seed=seed, part=part)
        if section.mirror:
            images = mirror_half(images, seed=seed, part=part)
    return images if section.colour is None else random_colours(images, section.colour, seed=seed, part=part)


def mirror_half(images: Tensor, *, seed: int, part: BatchPart | None = None) -> Tensor:
    """Mirror each image left to right with probability one half. images: [n, c, h, w], any layout in memory."""
    part = part or whole(len(images))
    chosen = np.random.default_rng(seed).random(part.images)[part.own] < 0.5
    mirrored = torch.from_numpy(chosen).to(images.device)
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def pad_and_crop(images: Tensor, pad: PadSection, *, seed: int, part: BatchPart | None = None) -> Tensor:
    """Shift each image by up to `pad.pixels` across and down, all whole shifts being as likely (He et al. 2016, "Deep
    Residual Learning", with zeros; Zagoruyko & Komodakis 2016, "Wide Residual Networks", by reflection).

    images: float[n, c, s, s], normalised, so that zero is the mean colour. Returns the same shape in channels_last
    memory.
    """
    part = part or whole(len(images))
    draw = np.random.default_rng((seed, 2))  # not the numbers that mirroring and colours are drawn from
    drawn = draw.integers(0, 2 * pad.pixels + 1, (2, part.images))[:, part.own]
    offsets = torch.from_numpy(drawn).to(images.device)
    height, width = images.shape[2:]
    framed = F.pad(images, [pad.pixels] * 4, mode="reflect" if pad.mode == "reflect" else "constant")
    # All windows as a view without a copy; one gather picks each image's own.
    windows = framed.unfold(2, height, 1).unfold(3, width, 1)
    which = torch.arange(len(images), device=images.device)
    cut = windows[which, :, offsets[0], offsets[1]]
    return cut.contiguous(memory_format=torch.channels_last)


def random_resized_crop(
    images: Tensor,
    crop: CropSection,
    *,
    pixels: int,
    mirror: bool,
    seed: int,
    part: BatchPart | None = None,
) -> Tensor:
    """Cut a random rectangle of each image and stretch it to a square (Szegedy et al. 2015, "Inception").

    The rectangle's area is uniform in `scale` of the image's, its ratio of width to height log-uniform in `ratio`;
    sides that would be longer than the image are cut to it. Sampled bilinearly, one gather for the crop and the
    mirror. images: float[n, c, s, s]. Returns float[n, c, pixels, pixels] in channels_last memory.
    """
    part = part or whole(len(images))
    draw = np.random.default_rng(seed)
    count = part.images
    area = draw.uniform(*crop.scale, count)
    narrowest, widest = np.log(crop.ratio)
    ratio = np.exp(draw.uniform(float(narrowest), float(widest), count))
    width, height = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    # Coordinates run from -1 to 1, so a rectangle of this width may have its centre this far from the middle.
    across, down = draw.uniform(-1, 1, count) * (1 - width), draw.uniform(-1, 1, count) * (1 - height)
    if mirror:
        width = np.where(draw.random(count) < 0.5, -width, width)
    view = np.zeros((count, 2, 3), np.float32)
    view[:, 0, 0], view[:, 0, 2], view[:, 1, 1], view[:, 1, 2] = width, across, height, down
    where = F.affine_grid(
        torch.from_numpy(view[part.own]).to(images.device),
        [len(images), images.shape[1], pixels, pixels],
        align_corners=False,
    )
    cut = F.grid_sample(images, where, mode="bilinear", padding_mode="border", align_corners=False)
    return cut.contiguous(memory_format=torch.channels_last)


def random_colours(
    images: Tensor, colour: ColourSection, *, seed: int, part: BatchPart | None = None
) -> Tensor:
    """Change each image's saturation, hue, contrast and brightness, in this order.

    With strength s: saturation and contrast are multiplied by a number between 1 - s and 1 + s, the hue is turned
    about the grey axis by up to s quarter turns, and brightness moves by up to 2 s standard deviations of the pixels
    that the network's weights were trained on. images: float[n, 3, h, w], normalised, so about zero in the mean with
    deviation one. Returns the same shape in channels_last memory.
    """
    part = part or whole(len(images))
    draw = np.random.default_rng((seed, 1))  # not the numbers that the crop was drawn from
    count, strength = part.images, colour.strength
    saturation, contrast = draw.uniform(1 - strength, 1 + strength, (2, count))
    saturation[draw.random(count) < colour.grey] = 0
    angle = draw.uniform(-strength, strength, count) * np.pi / 2
    shift = draw.uniform(-2 * strength, 2 * strength, count)

    def on_device(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(images.device)

    # Rodrigues' rotation about (1, 1, 1) leaves grey as it is, and so does mixing with grey: one matrix an image.
    grey = np.full((3, 3), 1 / 3)
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = [grey + (np.eye(3) - grey) * np.cos(a) + across * np.sin(a) for a in angle]
    mix = [grey * (1 - s) + t * s for s, t in zip(saturation, turn, strict=True)]
    mixed = torch.einsum("nij,njhw->nihw", on_device(np.stack(mix)[part.own]), images)
    mean = mixed.mean((1, 2, 3), keepdim=True)
    scale, offset = (on_device(values[part.own]).view(-1, 1, 1, 1) for values in (contrast, shift))
    return ((mixed - mean) * scale + mean + offset).contiguous(memory_format=torch.channels_last)
