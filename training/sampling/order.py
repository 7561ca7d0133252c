"""Which images make up the batches of an epoch, as a sampler section says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.batches import epoch_order
from training.sampling.balanced import balanced_order
from training.sampling.hard_classes import HardClassSampler
from training.sampling.signatures import ClassSignatures
from training.sections.sampler import SamplerSection


def batch_order(
    sampler: SamplerSection,
    labels: NDArray[np.int64],
    batch: int,
    signatures: ClassSignatures | None,
    *,
    seed: int,
    epoch: int,
    least: int,
) -> list[NDArray[np.int64]]:
    """The numbers of the images of each batch; a function of its arguments alone.

    labels: int64[n] of the training images. signatures: needed for hard classes only. epoch: counted from 0. least:
    images in the smallest batch.
    """
    if sampler.images_per_class is None:
        return epoch_order(len(labels), batch, seed=seed, epoch=epoch, least=least)
    if sampler.hard_classes is None or signatures is None:
        return balanced_order(labels, batch, sampler.images_per_class, seed=seed, epoch=epoch, least=least)
    hard = HardClassSampler(
        labels,
        batch,
        sampler.images_per_class,
        hard_classes=sampler.hard_classes,
        temperature=sampler.hard_temperature,
    )
    return hard.batches(signatures.vectors(), seed=seed, epoch=epoch, least=least)
