"""New FAISS indexes of each kind, trained where the kind needs it."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.index_kinds import IndexKind

Vectors = NDArray[np.float32]

_GRAPH_LINKS = 32


def training_size(kind: IndexKind, items: int) -> int:
    """How many vectors to train on: enough for every centroid, and never more than are there."""
    wanted = {"flat": 0, "hnsw": 0, "sq8": 20_000}.get(kind.name, max(64 * _lists(items), 50_000))
    return min(items, wanted)


def trained(kind: IndexKind, d: int, training: Vectors, items: int) -> faiss.Index:
    """An empty index for so many items, trained on float32[t, d] (t = `training_size`)."""
    metric = faiss.METRIC_INNER_PRODUCT
    lists = _lists(items)
    match kind.name:
        case "flat":
            index = faiss.IndexIDMap(faiss.IndexFlatIP(d))
        case "sq8":
            index = faiss.IndexIDMap(faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit, metric))
        case "hnsw":
            index = faiss.IndexIDMap(faiss.IndexHNSWFlat(d, _GRAPH_LINKS, metric))
        case "ivf":
            index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, metric)
        case _:
            index = faiss.IndexIVFPQ(faiss.IndexFlatIP(d), d, lists, _code_bytes(d), 8, metric)
    if not index.is_trained:
        index.train(np.ascontiguousarray(training))
    return index


def _lists(items: int) -> int:
    """Lists of an inverted file: a power of two near 4 sqrt(n), with at least 39 vectors to each."""
    wanted = max(1, min(int(4 * items**0.5), items // 39))
    return 1 << (wanted.bit_length() - 1)


def _code_bytes(embedding_size: int) -> int:
    """Bytes of a product-quantised vector: the greatest divisor of d that is at most d / 8."""
    most = max(1, embedding_size // 8)
    return next(m for m in range(most, 0, -1) if embedding_size % m == 0)
