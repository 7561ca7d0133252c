"""Order, mirroring and the image cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.errors import ImageError
from retrieval.transforms import Preprocessing
from training.batches import ImageSource, epoch_order, step_seed


@given(images=st.integers(2, 300), batch=st.integers(2, 50), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_an_epoch_visits_every_image_once_and_no_batch_is_a_single(
    images: int, batch: int, seed: int, epoch: int
) -> None:
    batches = epoch_order(images, batch, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(images))
    assert min(map(len, batches)) >= 2
    assert all(len(b) == batch for b in batches[:-1])
    assert len(batches[-1]) <= batch + 1


def test_a_last_batch_stays_partial_unless_it_would_be_too_small() -> None:
    assert [len(b) for b in epoch_order(12, 5, seed=0, epoch=0)] == [5, 5, 2]
    assert [len(b) for b in epoch_order(11, 5, seed=0, epoch=0)] == [5, 6]
    assert [len(b) for b in epoch_order(13, 5, seed=0, epoch=0, least=4)] == [5, 8]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [int(n) for batch in epoch_order(50, 8, seed=seed, epoch=epoch) for n in batch]

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_step_seeds_differ() -> None:
    seeds = {step_seed(a, b, c) for a in range(3) for b in range(3) for c in range(3)}
    assert len(seeds) == 27


def source(photos: Path, cache_bytes: int) -> ImageSource:
    paths = sorted(photos.glob("*/*.png"))
    return ImageSource(paths, Preprocessing(32), cache_bytes=cache_bytes, workers=3, label="images")


def test_images_from_memory_equal_images_decoded_on_the_way(photos: Path) -> None:
    kept, read = source(photos, 10**9), source(photos, 0)
    assert kept.cached_bytes == len(kept) * 32 * 32 * 3
    assert read.cached_bytes == 0
    groups = epoch_order(len(kept), 7, seed=1, epoch=1)
    together = list(zip(kept.batches(groups), read.batches(groups), strict=True))
    assert len(together) == len(groups)
    for group, (one, other) in zip(groups, together, strict=True):
        assert one.shape == (len(group), 32, 32, 3)
        np.testing.assert_array_equal(one, other)


def test_an_image_is_squashed_not_cropped(tmp_path: Path) -> None:
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, :45] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    images = ImageSource([tmp_path / "wide.png"], Preprocessing(30), cache_bytes=10**6, workers=1, label="x")
    (batch,) = images.batches([np.array([0])])
    assert (batch[0, :, 1] == 255).all()
    assert (batch[0, :, 28] == 0).all()


@pytest.mark.parametrize("cache_bytes", [0, 10**9])
def test_a_damaged_image_is_named(tmp_path: Path, cache_bytes: int) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")

    def read() -> None:
        paths = [tmp_path / "torn.jpg"]
        images = ImageSource(paths, Preprocessing(32), cache_bytes=cache_bytes, workers=1, label="x")
        list(images.batches([np.array([0])]))

    with pytest.raises(ImageError, match=r"torn\.jpg"):
        read()


def test_stopping_early_leaves_no_decoding_behind(photos: Path) -> None:
    images = source(photos, 0)
    coming = images.batches(epoch_order(len(images), 2, seed=0, epoch=0))
    next(coming)
    coming.close()  # type: ignore[attr-defined]  # it is a generator
