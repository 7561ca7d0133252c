"""New FAISS indexes of each kind, trained where the kind needs it."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.index_kinds import IndexKind

Vectors = NDArray[np.float32]

_GRAPH_LINKS = 32
_SCALARS = {"fp16": faiss.ScalarQuantizer.QT_fp16, "sq8": faiss.ScalarQuantizer.QT_8bit}


def training_size(kind: IndexKind, items: int) -> int:
    """How many vectors to train on: enough for every centroid, and never more than are there."""
    if kind.structure == "lists":
        return min(items, max(64 * list_count(items), 50_000))
    return min(items, 20_000 if kind.codes == "sq8" else 0)


def trained(kind: IndexKind, d: int, training: Vectors, items: int, *, refined: bool) -> faiss.Index:
    """An empty index for so many items, trained on float32[t, d] (t = `training_size`).

    refined: it keeps the vectors beside the codes and re-ranks by them itself.
    """
    index = _untrained(kind, d, list_count(items))
    if not index.is_trained:
        index.train(np.ascontiguousarray(training))
    if refined:
        index = faiss.IndexRefineFlat(index)
    # An inverted file has keys of its own; the others number their vectors.
    return index if kind.structure == "lists" and not refined else faiss.IndexIDMap(index)


def _untrained(kind: IndexKind, d: int, lists: int) -> faiss.Index:
    metric = faiss.METRIC_INNER_PRODUCT
    match kind.structure, kind.codes:
        case "scan", "float32":
            return faiss.IndexFlatIP(d)
        case "scan", _:
            return faiss.IndexScalarQuantizer(d, _SCALARS[kind.codes], metric)
        case "graph", "float32":
            return faiss.IndexHNSWFlat(d, _GRAPH_LINKS, metric)
        case "graph", _:
            return faiss.IndexHNSWSQ(d, _SCALARS[kind.codes], _GRAPH_LINKS, metric)
        case _, "float32":
            return faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, metric)
        case _, "pq":
            return faiss.IndexIVFPQ(faiss.IndexFlatIP(d), d, lists, _code_bytes(d), 8, metric)
        case _, "rabitq":
            return faiss.IndexIVFRaBitQ(faiss.IndexFlatIP(d), d, lists, metric)
    by_residual = False  # the codes of a vector are then the same in every list, and cheaper to compare
    return faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(d), d, lists, _SCALARS[kind.codes], metric, by_residual
    )


def list_count(items: int) -> int:
    """Lists of an inverted file: a power of two near 4 sqrt(n), with at least 39 vectors to each."""
    wanted = max(1, min(int(4 * items**0.5), items // 39))
    return 1 << (wanted.bit_length() - 1)


def _code_bytes(embedding_size: int) -> int:
    """Bytes of a product-quantised vector: the greatest divisor of d that is at most d / 8."""
    most = max(1, embedding_size // 8)
    return next(m for m in range(most, 0, -1) if embedding_size % m == 0)
