"""Vectors and items to fill a collection with."""

import numpy as np
from numpy.typing import NDArray

from indexes.collection import NewItem

FINGERPRINT = "5" * 64


def unit_vectors(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """float32[n, d] on the unit sphere, in clusters, as embeddings of classes are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, n // 10), d))
    vectors = centres[rng.integers(len(centres), size=n)] + 0.7 * rng.standard_normal((n, d))
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def items(n: int, d: int, seed: int = 0, prefix: str = "") -> list[NewItem]:
    """Items `0`, `1`, ... with five labels and a few attributes."""
    return [
        NewItem(f"{prefix}{i}", vector, label=f"label {i % 5}", attributes={"number": i, "even": i % 2 == 0})
        for i, vector in enumerate(unit_vectors(n, d, seed))
    ]
