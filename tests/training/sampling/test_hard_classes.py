"""Batches of classes that look alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from training.sampling.balanced import Numbers
from training.sampling.hard_classes import HardClassSampler

CLASSES, FAMILY = 24, 3


def labels_of(images: int = 8, classes: int = CLASSES) -> Numbers:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(classes), images)).astype(np.int64)


def families() -> NDArray[np.float32]:
    """Signatures in eight families of three classes: classes 0, 1, 2 look alike, and 3, 4, 5, ..."""
    rng = np.random.default_rng(1)
    parents = np.linalg.qr(rng.standard_normal((16, CLASSES // FAMILY)))[0].T.repeat(FAMILY, 0)
    vectors = parents + 0.1 * rng.standard_normal((CLASSES, 16))
    scaled: NDArray[np.float32] = (vectors * rng.uniform(0.1, 9, (CLASSES, 1))).astype(np.float32)
    return scaled


def relatives(batches: list[Numbers], labels: Numbers) -> float:
    """Share of pairs of classes in a batch that are of one family."""
    pairs = [
        a // FAMILY == b // FAMILY
        for batch in batches
        for i, a in enumerate(sorted(set(labels[batch].tolist())))
        for b in sorted(set(labels[batch].tolist()))[:i]
    ]
    return float(np.mean(pairs))


def sampler(labels: Numbers, **settings: float) -> HardClassSampler:
    return HardClassSampler(labels, 24, 4, hard_classes=2, **settings)


def test_batches_are_balanced_and_use_every_image_once() -> None:
    labels = labels_of()
    batches = sampler(labels).batches(families(), seed=0, epoch=0)
    for batch in batches[:-1]:
        present = Counter(labels[batch].tolist())
        assert set(present.values()) == {4}
        assert len(present) == 6
    used = np.bincount(np.concatenate(batches), minlength=len(labels))
    assert used.max() == 1
    assert used.mean() > 0.9


def test_an_anchor_class_brings_its_family() -> None:
    labels = labels_of()
    by_chance = relatives(
        sampler(labels).batches(np.zeros((CLASSES, 16), np.float32), seed=0, epoch=0), labels
    )
    at_will = relatives(sampler(labels).batches(families(), seed=0, epoch=0), labels)
    # Of 15 pairs in a batch of two anchors with their two relatives, 6 are of one family.
    assert by_chance < 0.2
    assert at_will > 0.3


def test_the_first_class_of_a_batch_comes_with_its_nearest_classes_at_a_low_temperature() -> None:
    labels, vectors = labels_of(), families()
    first = sampler(labels, temperature=1e-4).batches(vectors, seed=3, epoch=0)[0]
    anchor, *others = labels[first].reshape(-1, 4)[:3, 0].tolist()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit[anchor]))[1:3]
    assert others == nearest.tolist()


def test_classes_are_drawn_by_the_softmax_of_their_cosines() -> None:
    """One hard class for one anchor: over many seeds, the share of each is its softmax probability."""
    labels = labels_of(images=4, classes=4)
    vectors = np.array([[1, 0], [1, 1], [0, 1], [-1, 0]], np.float32)
    drawn: Counter[int] = Counter()
    anchored = 0
    for seed in range(6000):
        batch = HardClassSampler(labels, 8, 4, hard_classes=1, temperature=0.5).batches(
            vectors, seed=seed, epoch=0
        )[0]
        anchor, other = labels[batch].reshape(2, 4)[:, 0].tolist()
        if anchor == 0:
            anchored += 1
            drawn[other] += 1
    weights = np.exp(np.array([np.sqrt(0.5), 0, -1]) / 0.5)
    assert anchored > 1200
    assert [drawn[c] / anchored for c in (1, 2, 3)] == pytest.approx(
        (weights / weights.sum()).tolist(), abs=0.04
    )


def test_the_batches_are_a_function_of_their_arguments() -> None:
    labels, vectors = labels_of(), families()

    def order(seed: int, epoch: int, signatures: NDArray[np.float32]) -> tuple[int, ...]:
        return tuple(np.concatenate(sampler(labels).batches(signatures, seed=seed, epoch=epoch)).tolist())

    assert order(1, 2, vectors) == order(1, 2, vectors)
    assert order(1, 2, vectors) == order(1, 2, 2 * vectors)  # lengths do not matter
    assert len({order(s, e, v) for s in (0, 1) for e in (0, 1) for v in (vectors, vectors[::-1])}) == 8


def test_unequal_classes_end_in_a_smaller_batch_of_at_least_two_classes() -> None:
    labels = np.repeat(np.arange(CLASSES), [40] * 4 + [4] * (CLASSES - 4)).astype(np.int64)
    for seed in range(10):
        batches = sampler(labels).batches(families(), seed=seed, epoch=0)
        sizes = [len(set(labels[batch].tolist())) for batch in batches]
        assert set(sizes[:-1]) == {6}
        assert 2 <= sizes[-1] <= 6
        assert np.bincount(np.concatenate(batches)).max() == 1
