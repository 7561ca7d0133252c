"""Random views against what they should show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from training.augmentation import augment, mirror_half, pad_and_crop, random_colours, random_resized_crop
from training.sections.images import ColourSection, CropSection, ImagesSection, PadSection


def ramps(count: int, side: int) -> torch.Tensor:
    """Images whose first channel is x and whose second is y, from -1 to 1 at the outer edges of the pixels."""
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    x = centres.expand(side, side)
    return torch.stack([x, x.T, torch.zeros(side, side)]).expand(count, 3, side, side).contiguous()


def test_half_of_the_images_are_mirrored() -> None:
    images = ramps(400, 8)
    mirrored = mirror_half(images, seed=3)
    flipped = torch.tensor([bool(torch.equal(one, images[0].flip(2))) for one in mirrored])
    kept = torch.tensor([bool(torch.equal(one, images[0])) for one in mirrored])
    assert bool((flipped ^ kept).all())
    assert 150 < int(flipped.sum()) < 250


def test_crops_have_the_asked_areas_and_ratios() -> None:
    crop = CropSection(scale=(0.25, 0.5), ratio=(0.8, 1.25))
    views = random_resized_crop(ramps(500, 64), crop, pixels=32, mirror=True, seed=1)
    assert views.shape == (500, 3, 32, 32)
    # The ramp's values at the first and last pixel tell the rectangle's sides: they lie half a pixel inside.
    width = (views[:, 0, 16, -1] - views[:, 0, 16, 0]) / 2 * 32 / 31
    height = (views[:, 1, -1, 16] - views[:, 1, 0, 16]) / 2 * 32 / 31
    assert 0.4 < float((width < 0).float().mean()) < 0.6, "half are mirrored"
    assert bool((height > 0).all())
    area, ratio = (width.abs() * height).numpy(), (width.abs() / height).numpy()
    assert area.min() > 0.245
    assert area.max() < 0.505
    assert abs(area.mean() - 0.375) < 0.01, "uniform"
    assert ratio.min() > 0.79
    assert ratio.max() < 1.27
    middle = views[:, 0, 16, 15:17].mean(1)
    assert float(middle.abs().max()) <= 1 - float(width.abs().min()) / 2 + 0.35
    assert float(middle.std()) > 0.1, "crops lie anywhere"


def test_a_whole_crop_is_a_plain_resize() -> None:
    images = torch.rand(3, 3, 24, 24)
    whole = CropSection(scale=(1, 1), ratio=(1, 1))
    view = random_resized_crop(images, whole, pixels=24, mirror=False, seed=0)
    torch.testing.assert_close(view, images, atol=1e-5, rtol=0)
    larger = random_resized_crop(images, whole, pixels=48, mirror=False, seed=0)
    expected = F.interpolate(images, size=48, mode="bilinear", align_corners=False)
    torch.testing.assert_close(larger, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("mode", "as_numpy"), [("reflect", "reflect"), ("zeros", "constant")])
def test_each_view_is_a_window_of_the_framed_image(mode: str, as_numpy: str) -> None:
    images = torch.randn(300, 3, 7, 7)
    pad = PadSection.model_validate({"pixels": 2, "mode": mode})
    views = pad_and_crop(images, pad, seed=5)
    assert views.is_contiguous(memory_format=torch.channels_last)
    found = []
    for image, view in zip(images.numpy(), views.numpy(), strict=True):
        framed = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode=as_numpy)  # type: ignore[call-overload]
        places = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if np.array_equal(framed[:, y : y + 7, x : x + 7], view)
        ]
        assert len(places) == 1
        found.append(places[0])
    counts = np.zeros((5, 5), int)
    np.add.at(counts, tuple(np.array(found).T), 1)
    # 12 are expected in each of the 25 places.
    assert counts.min() >= 2
    assert counts.max() <= 26


def test_padding_and_mirroring_are_drawn_apart() -> None:
    images = ramps(600, 8)
    views = augment(images, ImagesSection(pixels=16, pad=PadSection(mode="zeros")), seed=4)
    middle = views[:, 0, 3:5, 3:5].mean((1, 2))
    mirrored = views[:, 0, :, -1].sum(1) < views[:, 0, :, 0].sum(1)
    assert 240 < int(mirrored.sum()) < 360
    assert abs(float(middle[mirrored].abs().mean() - middle[~mirrored].abs().mean())) < 0.1
    one, same, other = (
        augment(images, ImagesSection(pixels=16, mirror=False, pad=PadSection()), seed=seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_views_are_a_function_of_the_seed() -> None:
    images, section = torch.rand(5, 3, 33, 33), ImagesSection(pixels=24, crop=CropSection())
    one, same, other = (augment(images, section, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(
        one, augment(images, section.model_copy(update={"colour": ColourSection()}), seed=1)
    )
    plain = ImagesSection(pixels=33, mirror=False)
    assert augment(images, plain, seed=1) is images


def test_grey_stays_grey_and_colours_turn() -> None:
    grey = torch.randn(60, 1, 6, 6).expand(60, 3, 6, 6)
    changed = random_colours(grey, ColourSection(strength=0.5, grey=0), seed=1)
    torch.testing.assert_close(changed[:, 0], changed[:, 1], atol=1e-5, rtol=0)
    contrast = changed[:, 0].std((1, 2)) / grey[:, 0].std((1, 2))
    assert 0.5 <= float(contrast.min()) < 0.6
    assert 1.4 < float(contrast.max()) <= 1.5
    shift = changed.mean((1, 2, 3)) - grey.mean((1, 2, 3))
    assert float(shift.abs().max()) <= 1.0 + 1e-5
    assert float(shift.std()) > 0.4

    colourful = torch.randn(400, 3, 4, 4)
    lost = random_colours(colourful, ColourSection(strength=0, grey=0.25), seed=2)
    flat = (lost - lost.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-5
    assert 70 < int(flat.sum()) < 130
    torch.testing.assert_close(lost[~flat], colourful[~flat], atol=1e-5, rtol=0)
    torch.testing.assert_close(lost.mean(1), colourful.mean(1), atol=1e-5, rtol=0)

    # Turning the hue keeps a pixel's distance from grey; contrast about the image's mean is undone before looking.
    turned = random_colours(colourful, ColourSection(strength=0.3, grey=0), seed=3)
    apart = (turned - turned.mean(1, keepdim=True)).flatten(1).norm(dim=1)
    before = (colourful - colourful.mean(1, keepdim=True)).flatten(1).norm(dim=1)
    assert float((apart / before).min()) >= 0.7 * 0.7
    assert float((apart / before).max()) <= 1.3 * 1.3
    assert not torch.allclose(turned, colourful)


def test_the_source_is_larger_than_the_view_unless_said_otherwise() -> None:
    assert ImagesSection(pixels=128).training_source == 128
    assert ImagesSection(pixels=128, crop=CropSection()).training_source == 176
    assert ImagesSection(pixels=128, crop=CropSection(source=150)).training_source == 150


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": (0.5, 0.2)}, "scale must go from the smaller to the larger"),
        ({"scale": (0, 1)}, "greater than 0"),
        ({"ratio": (2, 1)}, "ratio must go from the smaller to the larger"),
        ({"ratio": (np.nan, 1)}, "ratio"),
    ],
)
def test_impossible_crops_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CropSection.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pad": {}, "crop": {}}, "give crop or pad, not both"),
        ({"pad": {"pixels": 32}, "pixels": 32}, r"pad.pixels must be smaller than pixels \(32\); got 32"),
        ({"pad": {"pixels": 0}}, "greater than or equal to 1"),
        ({"pad": {"mode": "mirror"}}, "'reflect' or 'zeros'"),
    ],
)
def test_impossible_padding_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ImagesSection.model_validate(values)
