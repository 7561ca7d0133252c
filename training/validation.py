"""Scoring a network that is being trained, on classes that it is not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from retrieval.datasets import Subset
from retrieval.networks import Ensemble
from retrieval.recall import leave_one_out
from retrieval.transforms import Preprocessing
from training.batches import ImageSource
from training.recipe import Recipe


@torch.inference_mode()
def validate(
    network: Ensemble,
    subset: Subset,
    images: ImageSource,
    preprocessing: Preprocessing,
    recipe: Recipe,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Leave-one-out recall of a subset, with all that a reader needs to compare it. Leaves the network in eval mode."""
    network.eval()
    groups = np.split(np.arange(len(images)), range(recipe.batch, len(images), recipe.batch))
    with accelerator.autocast():
        parts = [
            network.embed(preprocessing.normalise(pixels, accelerator.device)).float().cpu().numpy()
            for pixels in images.batches(groups)
        ]
    # A query has at most this many neighbours.
    ks = [k for k in recipe.validation.k if k < len(subset)]
    found = leave_one_out(np.concatenate(parts), subset.labels, ks)
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
        "pretraining": pretraining(recipe),
    }


def pretraining(recipe: Recipe) -> str:
    """Where the weights that training started from came from, in words."""
    weights = recipe.network.weights
    return {"imagenet": "ImageNet", "none": "none (random weights)"}.get(weights, f"the state dict {weights}")
