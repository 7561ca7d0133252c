"""Batches of classes that are easily confused: stochastic class-based hard example mining (SCHM).

Source: Suh et al., "Stochastic class-based hard example mining for deep metric learning" (CVPR 2019). From its
abstract: signatures of the classes are kept while training at little cost; an anchor selects a few hard negative
classes by its distances to the signatures; only within these are hard images searched. Inferred here, for want of the
authors' code: the hardness of a class is the cosine between its signature and that of the anchor's class (the paper
measures from the anchor image); classes are drawn by a softmax of it; an epoch uses every image about once, so what is
hard is chosen among the classes that still have images left; and the search within the classes is left to the miner
of the loss, on the fresh features of the batch.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from training.sampling.balanced import ClassGroup, Numbers, class_groups, fills_a_last_batch


class HardClassSampler:
    """Batches made of anchor classes and, for each of them, a few that look like it."""

    def __init__(
        self,
        labels: Numbers,
        batch: int,
        images_per_class: int,
        *,
        hard_classes: int,
        temperature: float = 0.1,
    ) -> None:
        """labels: int64[n], from 0. hard_classes: classes that each anchor class brings with it.

        temperature: of the softmax over cosines by which they are drawn.
        """
        self._labels = labels
        self._images_per_class = images_per_class
        self._room = batch // images_per_class
        self._hard_classes = hard_classes
        self._temperature = temperature

    def batches(
        self, class_vectors: NDArray[np.float32], *, seed: int, epoch: int, least: int = 2
    ) -> list[Numbers]:
        """One epoch's batches of image numbers; a function of its arguments alone.

        class_vectors: float[classes, d], a signature of each class, of any length; zeros where there is none yet,
        which makes that class as hard as an unrelated one. Groups of images, repeats, and what is left at the end
        are those of `training.sampling.balanced.balanced_order`.
        """
        rng = np.random.default_rng((seed, epoch))
        lengths = np.linalg.norm(class_vectors, axis=1, keepdims=True)
        signatures = class_vectors / np.maximum(lengths, 1e-12)
        order = class_groups(self._labels, self._images_per_class, rng)
        waiting: list[deque[ClassGroup]] = [deque() for _ in class_vectors]
        for group in order:
            waiting[group.label].append(group)
        free = np.array([bool(groups) for groups in waiting])  # classes that may still come into this batch
        anchors = deque(group.label for group in order)

        batches: list[Numbers] = []
        while True:
            chosen: list[ClassGroup] = []
            held: list[int] = []
            while anchors and len(chosen) < self._room:
                anchor = anchors.popleft()
                if not free[anchor]:
                    # In this batch already, or all used up as a hard class of others.
                    if waiting[anchor]:
                        held.append(anchor)
                    continue
                room = self._room - len(chosen)
                for label in [anchor, *self._hard(signatures, anchor, free, rng)][:room]:
                    chosen.append(waiting[label].popleft())
                    free[label] = False
            anchors.extendleft(reversed(held))
            whole = len(chosen) == self._room
            if whole or fills_a_last_batch(chosen, least):
                batches.append(np.concatenate([group.images for group in chosen]))
            if not whole:
                return batches
            for group in chosen:
                free[group.label] = bool(waiting[group.label])

    def _hard(
        self,
        signatures: NDArray[np.float32],
        anchor: int,
        free: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> list[int]:
        """Up to `hard_classes` different free classes, drawn by softmax(cosine to the anchor / temperature)."""
        others = np.flatnonzero(free)
        others = others[others != anchor]
        cosines = (signatures @ signatures[anchor])[others]  # copying the rows would cost more
        # The largest of scores with Gumbel noise are a draw from their softmax without replacement.
        scores = cosines / self._temperature + rng.gumbel(size=len(others))
        drawn: list[int] = others[np.argsort(-scores, kind="stable")[: self._hard_classes]].tolist()
        return drawn
