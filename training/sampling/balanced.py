"""Class-balanced batches: so many classes, and so many images of each; a function of seed and epoch alone.

`training.batches.epoch_order` is the plain shuffle beside it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ClassGroup:
    """Images of one class that go into a batch together. images: int64[images_per_class]."""

    label: int
    images: Numbers


def balanced_order(
    labels: Numbers, batch: int, images_per_class: int, *, seed: int, epoch: int, least: int = 2
) -> list[Numbers]:
    """One epoch's batches of image numbers, each batch / images_per_class different classes.

    labels: int64[n]. Images of a class stand side by side in a batch, classes in random order. Every image is used
    about once: see `class_groups`. When too few classes are left for a whole batch, they make a last smaller one if
    it has two classes and `least` images; whatever is left then, images of the largest classes, sits this epoch out.
    `training.sampling.check` says what cannot work.
    """
    rng = np.random.default_rng((seed, epoch))
    waiting = deque(class_groups(labels, images_per_class, rng))
    batches: list[Numbers] = []
    while True:
        chosen: list[ClassGroup] = []
        held: list[ClassGroup] = []
        while waiting and len(chosen) < batch // images_per_class:
            group = waiting.popleft()
            present = any(group.label == other.label for other in chosen)
            (held if present else chosen).append(group)
        waiting.extendleft(reversed(held))
        whole = len(chosen) == batch // images_per_class
        if whole or fills_a_last_batch(chosen, least):
            batches.append(np.concatenate([group.images for group in chosen]))
        if not whole:
            return batches


def fills_a_last_batch(chosen: list[ClassGroup], least: int) -> bool:
    """Whether the classes that are left make a batch: two of them, so that there are negatives, and enough images."""
    return len(chosen) >= 2 and sum(len(group.images) for group in chosen) >= least


def class_groups(labels: Numbers, images_per_class: int, rng: np.random.Generator) -> list[ClassGroup]:
    """All images in groups of `images_per_class` of one class, in an order that spreads each class over the epoch.

    A class of n images makes n / images_per_class groups, rounded to the nearest and at least one. So a few of its
    images come twice, in different groups, or not at all; which ones is drawn anew each epoch. A class with fewer
    images than a group holds repeats them within its group: what augmentation makes of them differs.
    """
    shuffled = rng.permutation(len(labels)).astype(np.int64)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    present, counts = np.unique(labels, return_counts=True)
    groups, places = [], []
    for label, own in zip(present.tolist(), np.split(by_class, np.cumsum(counts)[:-1]), strict=True):
        number = max(1, int(len(own) / images_per_class + 0.5))
        cut = np.resize(own, (number, images_per_class))  # from its start again where it is too short
        groups += [ClassGroup(label, images) for images in cut]
        places.append((np.arange(number) + rng.random(number)) / number)
    return [groups[i] for i in np.argsort(np.concatenate(places), kind="stable")]
