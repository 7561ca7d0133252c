"""Class-balanced batches."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.sampling.balanced import Numbers, balanced_order


def labels_of(*counts: int) -> Numbers:
    """So many images of classes 0, 1, ..., in mixed order."""
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)


@given(
    counts=st.lists(st.integers(1, 30), min_size=4, max_size=20),
    images_per_class=st.integers(2, 6),
    classes=st.integers(2, 4),
    seed=st.integers(0, 5),
)
def test_every_batch_holds_so_many_images_of_different_classes(
    counts: list[int], images_per_class: int, classes: int, seed: int
) -> None:
    labels = labels_of(*counts)
    batches = balanced_order(labels, classes * images_per_class, images_per_class, seed=seed, epoch=0)
    assert batches
    for number, batch in enumerate(batches):
        assert batch.dtype == np.int64
        present = Counter(labels[batch].tolist())
        assert set(present.values()) == {images_per_class}
        last = number == len(batches) - 1
        assert 2 <= len(present) <= classes if last else len(present) == classes
        for group in batch.reshape(-1, images_per_class):
            size = counts[labels[group[0]]]
            assert (
                len(set(labels[group].tolist())) == 1
            )  # side by side, so that processes share whole classes
            assert len(set(group.tolist())) == min(
                size, images_per_class
            )  # repeats only where a class is too small


@pytest.mark.parametrize("seed", range(5))
def test_every_image_is_used_about_once(seed: int) -> None:
    labels = labels_of(*[11, 12, 13, 14, 15, 16] * 8)
    batches = balanced_order(labels, 32, 4, seed=seed, epoch=3)
    used = np.bincount(np.concatenate(batches), minlength=len(labels))
    assert used.max() <= 2
    assert 0.9 < used.mean() < 1.1
    assert (used == 1).mean() > 0.8


def test_over_some_epochs_no_image_is_left_out() -> None:
    labels = labels_of(*[5, 6, 7, 9] * 5)
    used = np.zeros(len(labels), int)
    for epoch in range(12):
        used += np.bincount(
            np.concatenate(balanced_order(labels, 16, 4, seed=0, epoch=epoch)), minlength=len(labels)
        )
    assert used.min() >= 3
    assert used.max() <= 24


def test_classes_are_spread_over_the_epoch() -> None:
    """A large class must not fill the end of an epoch, nor a small one its beginning."""
    labels = labels_of(*[40] * 10, *[8] * 20)
    batches = balanced_order(labels, 16, 4, seed=1, epoch=0)
    half = len(batches) // 2
    first = np.bincount(labels[np.concatenate(batches[:half])], minlength=30)
    whole = np.bincount(labels[np.concatenate(batches)], minlength=30)
    assert (np.abs(first[:10] / whole[:10] - 0.5) < 0.2).all()
    assert abs(first[10:].sum() / whole[10:].sum() - 0.5) < 0.15


def test_a_class_that_outnumbers_all_others_sits_out_what_has_no_partner() -> None:
    labels = labels_of(1000, 20, 20)
    batches = balanced_order(labels, 8, 4, seed=0, epoch=0)
    assert all(len(set(labels[batch].tolist())) == 2 for batch in batches)
    used = set(labels[np.concatenate(batches)].tolist())
    assert used == {0, 1, 2}
    assert 5 <= len(batches) <= 10


def test_a_last_batch_needs_as_many_images_as_asked_for() -> None:
    labels = labels_of(*[4] * 7)
    assert [len(b) for b in balanced_order(labels, 16, 4, seed=0, epoch=0)] == [16, 12]
    assert [len(b) for b in balanced_order(labels, 16, 4, seed=0, epoch=0, least=13)] == [16]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    labels = labels_of(*[9] * 12)

    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(np.concatenate(balanced_order(labels, 12, 3, seed=seed, epoch=epoch)).tolist())

    assert order(1, 2) == order(1, 2)
    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9
