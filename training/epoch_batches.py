"""An epoch as one process sees it: its part of each batch, from where the run stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from retrieval.progress import track
from training.batch_part import BatchPart
from training.batches import ImageSource, Pixels, step_seed
from training.sampling.order import batch_order
from training.sampling.signatures import ClassSignatures
from training.sections.sampler import SamplerSection


@dataclass(frozen=True)
class OwnBatch:
    """One step's images of one process.

    step: of `steps` in the epoch, counted from 0. images: of the whole batch. part: which of them these are. seed: of
    whatever is drawn in this step. pixels: uint8[n_own, s, s, 3]. labels: int64[n_own], on the run's device.
    """

    step: int
    steps: int
    images: int
    part: BatchPart
    seed: int
    pixels: Pixels
    labels: Tensor


def epoch_batches(
    images: ImageSource,
    labels: NDArray[np.int64],
    accelerator: Accelerator,
    *,
    batch: int,
    sampler: SamplerSection,
    seed: int,
    epoch: int,
    epochs: int,
    done: int,
    signatures: ClassSignatures | None = None,
) -> Iterator[OwnBatch]:
    """The batches of an epoch but the first `done`, which were trained on before; a function of the seed.

    The first process says how far it is. labels: int64[n] of all images. batch: images of all processes together.
    epoch: counted from 0, of `epochs`. signatures: needed for hard classes only.
    """
    process, processes = accelerator.process_index, accelerator.num_processes
    batches = batch_order(
        sampler,
        labels,
        batch,
        signatures,
        seed=seed,
        epoch=epoch,
        least=max(2, processes),
    )
    parts = [BatchPart.of(len(numbers), process, processes) for numbers in batches]
    own = [numbers[part.own] for numbers, part in zip(batches, parts, strict=True)]
    coming = track(
        zip(range(done, len(batches)), images.batches(own[done:]), strict=True),
        total=len(batches) - done,
        label=f"epoch {epoch + 1}/{epochs}",
        unit="batch",
        shown=accelerator.is_main_process,
    )
    for step, pixels in coming:
        yield OwnBatch(
            step=step,
            steps=len(batches),
            images=len(batches[step]),
            part=parts[step],
            seed=step_seed(seed, epoch, step),
            pixels=pixels,
            labels=torch.from_numpy(labels[own[step]]).to(accelerator.device),
        )
