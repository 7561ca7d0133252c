"""A small part of a subset with every class in it, to see what a method does with little data."""

from __future__ import annotations

import numpy as np

from retrieval.datasets.dataset import Subset
from retrieval.errors import DataError


def few_per_class(
    subset: Subset, *, share: float | None = None, count: int | None = None, seed: int
) -> Subset:
    """Some images of each class, drawn at random; the numbering of the classes stays.

    share: this part of each class, 0 < share <= 1, rounded and at least one image. count: instead, so many images of
    each class, and all of a class that has fewer. A smaller part of the same seed is a subset of a larger one. Raises
    DataError for a share or count that is out of range, and where a count is more than any class has.
    """
    if (share is None) == (count is None):
        raise ValueError("give either share or count")
    sizes = np.bincount(subset.labels, minlength=len(subset.classes))
    if share is not None:
        if not 0 < share <= 1:
            raise DataError(f"the share of the images must be above 0 and at most 1; got {share}")
        wanted = np.maximum(np.rint(share * sizes).astype(np.int64), 1)
        name = f"{subset.name}, {100 * share:g} %"
    else:
        assert count is not None
        if not 1 <= count <= sizes.max():
            raise DataError(
                f"{subset.name} has at most {sizes.max():,} images of a class; got {count} images of each class"
            )
        wanted = np.full(len(sizes), count)
        name = f"{subset.name}, {count} a class"
    chosen = []
    for number, images in enumerate(wanted):
        # A class draws alone, so that what it draws depends on nothing but the seed and itself.
        order = np.random.default_rng((seed, number)).permutation(np.flatnonzero(subset.labels == number))
        chosen.append(order[:images])
    kept = np.sort(np.concatenate(chosen))
    return Subset(name, tuple(subset.records[row] for row in kept), subset.labels[kept], subset.classes)
