"""Embeddings to search in: real ones from a file, as many as are wanted, or made-up clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def embeddings(path: Path | None, items: int, size: int, queries: int) -> tuple[Vectors, Vectors, str]:
    """float32[items, size] and float32[queries, size], all of length 1, and where they are from.

    path: an .npz with `embeddings`, as `hdhe embed` writes it; None makes clusters up. Vectors longer than size are
    turned to their principal components (not centred, so inner products stay what they are). Where they are too few,
    they are taken again and again, with noise that is half as long as the way to the nearest neighbour. Queries are
    kept back before, so none of them is a noisy copy of an item.
    """
    rng = np.random.default_rng(0)
    if path is None:
        found, source = _clusters(rng, items + queries, size), "made-up clusters"
    else:
        with np.load(path) as file:
            found = _shortened(np.asarray(file["embeddings"], np.float32), size)
        source = f"{len(found):,} embeddings of {path.name}"
    order = rng.permutation(len(found))
    kept_back, rest = found[order[:queries]], found[order[queries:]]
    if len(kept_back) < queries or len(rest) == 0:
        raise SystemExit(f"{path}: {len(found)} embeddings are too few for {queries} queries")
    if len(rest) < items:
        source += f", taken {items / len(rest):.1f} times with noise"
    return _repeated(rng, rest, items), kept_back, source


def _clusters(rng: np.random.Generator, items: int, size: int) -> Vectors:
    """Around a tenth as many centres, in the positive orthant as features behind a ReLU are."""
    centres = rng.standard_normal((max(1, items // 10), size), dtype=np.float32)
    vectors = centres[rng.integers(len(centres), size=items)]
    return _unit(np.abs(vectors + 0.7 * rng.standard_normal(vectors.shape, dtype=np.float32)))


def _shortened(vectors: Vectors, size: int) -> Vectors:
    if vectors.shape[1] < size:
        raise SystemExit(f"the embeddings have {vectors.shape[1]} numbers; choose --size {vectors.shape[1]}")
    if vectors.shape[1] > size:
        sample = vectors[:20_000].astype(np.float64)
        vectors = vectors @ np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :size].astype(np.float32)
    return _unit(vectors)


def _repeated(rng: np.random.Generator, vectors: Vectors, items: int) -> Vectors:
    sample = vectors[:: max(1, len(vectors) // 500)][:500]
    products = sample @ vectors.T
    # The greatest is the vector itself.
    nearest = np.partition(products, -2, axis=1)[:, -2]
    noise = 0.5 * float(np.sqrt(np.maximum(2 - 2 * nearest, 0)).mean()) / vectors.shape[1] ** 0.5
    result = np.empty((items, vectors.shape[1]), np.float32)
    for start in range(0, items, len(vectors)):
        some = vectors[: min(len(vectors), items - start)]
        if start:
            some = _unit(some + noise * rng.standard_normal(some.shape, dtype=np.float32))
        result[start : start + len(some)] = some
    return result


def _unit(vectors: Vectors) -> Vectors:
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
