"""The score of several trained models taken as one: their embeddings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.bundle import Bundle, load_bundle
from retrieval.datasets import Subset
from retrieval.recall import leave_one_out
from training.batches import ImageSource
from training.data import open_subsets
from training.recipe import Recipe


def concatenate(embeddings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Embeddings float32[n, d_m] of each model m side by side: float32[n, sum of d_m].

    Every model's row is brought to length 1 first, so that all weigh the same, and so is the result's.
    """
    return _unit(np.concatenate([_unit(part) for part in embeddings], axis=1))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a network can make a row of zeros, which stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def score_together(bundles: Sequence[Path], recipe: Recipe) -> dict[str, Any]:
    """Leave-one-out recall of the recipe's validation classes by several bundles; shares in 0..1 as in a bundle.

    recipe: of any of them; all must score the same classes.
    """
    _, validation = open_subsets(recipe, lambda line: None)
    if validation is None:
        raise ValueError("a study's recipe always has validation classes")
    models = [load_bundle(folder) for folder in bundles]
    joined = concatenate([_embed(model, validation, recipe) for model in models])
    ks = [k for k in recipe.validation.k if k < len(validation)]
    found = leave_one_out(joined, validation.labels, ks)
    return {
        "data": validation.name,
        "queries": found.queries,
        "recall": {str(k): value for k, value in found.recall.items()},
        "map_at_r": found.map_at_r,
        "embedding_size": joined.shape[1],
        "fingerprints": [model.fingerprint for model in models],
    }


@torch.inference_mode()
def _embed(model: Bundle, subset: Subset, recipe: Recipe) -> NDArray[np.float32]:
    """Embeddings float32[n, d] as validation within training makes them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = model.network.to(device)
    room = int(recipe.machine.cache_gb * 2**30)
    images = ImageSource(
        subset.paths, model.preprocessing, cache_bytes=room, workers=recipe.machine.threads, label="images"
    )
    groups = np.split(np.arange(len(images)), range(recipe.batch, len(images), recipe.batch))
    parts = [
        network.embed(model.preprocessing.normalise(pixels, device)).float().cpu().numpy()
        for pixels in images.batches(groups)
    ]
    return np.concatenate(parts)
