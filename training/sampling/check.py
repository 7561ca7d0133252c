"""What cannot work between loss, sampler, batch and data, said before training starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UserError
from training.ensembles.combine import COMBINERS
from training.losses import LOSSES
from training.sections.sampler import SamplerSection

_TABLES = LOSSES | COMBINERS
_NEED_PAIRS = {name for name, row in LOSSES.items() if row.kind == "pair"} | {
    name for name, row in COMBINERS.items() if row.images_per_class >= 2
}


def check_sampling(
    loss_names: Sequence[str],
    sampler: SamplerSection,
    batch: int,
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> None:
    """Raises UserError where batches cannot be filled, or hold no pairs for a loss that needs them.

    loss_names: the losses of a run, keys of `LOSSES` and `COMBINERS`. labels: int64[n] of the training images,
    positions in classes.
    """
    check_batch(loss_names, sampler, batch)
    if sampler.images_per_class is None:
        return
    counts = np.bincount(labels, minlength=len(classes))
    wanted, there = batch // sampler.images_per_class, int((counts > 0).sum())
    if there < wanted:
        # A batch of two classes is the least there is, and data of a single class have no such batch.
        advice = f"set batch to {there * sampler.images_per_class} or less" if there > 1 else "add classes"
        raise UserError(
            f"a batch of {batch} holds {wanted} classes of {sampler.images_per_class} images, but only "
            f"{there} can be trained on; {advice}"
        )
    pair = _pair_loss(loss_names)
    single = np.flatnonzero(counts == 1)
    if pair is not None and len(single):
        raise UserError(
            f"loss {pair} needs pairs, but class {classes[single[0]]!r} has one image ({len(single)} of {there} "
            f"classes do); leave such classes out or take a loss with classes, such as proxy_anchor"
        )


def check_batch(loss_names: Sequence[str], sampler: SamplerSection, batch: int) -> None:
    """The part of `check_sampling` that needs no data. Raises UserError."""
    size = sampler.images_per_class
    pair = _pair_loss(loss_names)
    if size is None:
        if pair is not None:
            raise UserError(
                f"loss {pair} needs several images of a class in a batch, which a plain shuffle rarely gives; "
                f"set sampler.images_per_class to {_TABLES[pair].images_per_class}"
            )
        return
    if batch < 2 * size:
        raise UserError(
            f"a batch of {batch} has no room for 2 classes of {size} images; set batch to {2 * size} or more, "
            f"or sampler.images_per_class to less"
        )
    if batch % size:
        below = batch - batch % size
        raise UserError(
            f"a batch of {batch} cannot be filled with {size} images a class; set batch to {below} or {below + size}"
        )
    if sampler.hard_classes is not None and sampler.hard_classes >= batch // size:
        raise UserError(
            f"sampler.hard_classes is {sampler.hard_classes}, but beside a class a batch of {batch} has room for "
            f"{batch // size - 1} others of {size} images; set it to that or less"
        )


def _pair_loss(names: Sequence[str]) -> str | None:
    return next((name for name in names if name in _NEED_PAIRS), None)
