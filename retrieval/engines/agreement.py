"""How close an engine's embeddings come to the reference's, on real images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.datasets.pottery import design_vase, photograph
from retrieval.engines.engine import Engine
from retrieval.engines.torch_engine import TorchEngine

LEAST_COSINE = 0.999
"""Of each image's embedding with the reference's. Below it an engine gives another model's embeddings."""

BATCH = 8

SAMPLE = "the sample catalogue"
_SEED, _DESIGNS, _PIXELS = 0, 16, 256


def cosines(engine: Engine, bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of each prepared image, uint8[n, p, p, 3]: the product float64[n] of its embedding with that of torch in float32
    on the processor. It is the cosine, since both are unit vectors; an engine whose vectors are not gets NaN.
    """
    reference = TorchEngine(bundle, device="cpu")
    result = np.empty(len(images), np.float64)
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        expected = reference.embed(images[part]).astype(np.float64)
        found = engine.embed(images[part]).astype(np.float64)
        unit = np.abs(np.linalg.norm(found, axis=1) - 1) < 1e-3
        result[part] = np.where(unit, (expected * found).sum(axis=1), np.nan)
    return result


def sample_images(bundle: Bundle, count: int) -> NDArray[np.uint8]:
    """uint8[count, p, p, 3]: photos of the sample catalogue, rendered here and prepared for a model."""
    designs = [design_vase(_SEED, number) for number in range(min(count, _DESIGNS))]
    photos = [
        photograph(designs[n % len(designs)], np.random.default_rng([_SEED, n]), _PIXELS).image
        for n in range(count)
    ]
    return np.stack([bundle.preprocessing.prepare(photo) for photo in photos])
