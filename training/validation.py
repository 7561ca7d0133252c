"""Scoring a network that is being trained, on classes that it is not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from retrieval.datasets import Subset
from retrieval.networks import Ensemble
from retrieval.recall import leave_one_out
from retrieval.transforms import Preprocessing
from training.batches import ImageSource


@torch.inference_mode()
def embeddings_of(
    network: Ensemble,
    images: ImageSource,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
    *,
    batch: int,
) -> NDArray[np.float32]:
    """float32[n, d] of all images, in order. Leaves the network in eval mode."""
    network.eval()
    groups = np.split(np.arange(len(images)), range(batch, len(images), batch))
    with accelerator.autocast():
        parts = [
            network.embed(preprocessing.normalise(pixels, accelerator.device)).float().cpu().numpy()
            for pixels in images.batches(groups)
        ]
    return np.concatenate(parts)


def validate(
    network: Ensemble,
    subset: Subset,
    images: ImageSource,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
    *,
    batch: int,
    ks: Sequence[int],
    weights: str,
) -> dict[str, Any]:
    """Leave-one-out recall of a subset, with all that a reader needs to compare it. Leaves the network in eval mode.

    weights: what the network started from, as a recipe says it.
    """
    embeddings = embeddings_of(network, images, preprocessing, accelerator, batch=batch)
    # A query has at most this many neighbours.
    reachable = [k for k in ks if k < len(subset)]
    found = leave_one_out(embeddings, subset.labels, reachable)
    return {
        "data": subset.name,
        "protocol": found.protocol,
        "queries": found.queries,
        "queries_without_positive": found.queries_without_positive,
        "recall": {str(k): value for k, value in found.recall.items()},
        "map_at_r": found.map_at_r,
        "embedding_size": network.embedding_size,
        "mirror": network.spec.mirror,
        "pixels": preprocessing.pixels,
        "resize": preprocessing.short_side,
        "pretraining": pretraining(weights),
    }


def pretraining(weights: str) -> str:
    """Where the weights that training started from came from, in words. weights: as a recipe says it."""
    return {"imagenet": "ImageNet", "none": "none (random weights)"}.get(weights, f"the state dict {weights}")
