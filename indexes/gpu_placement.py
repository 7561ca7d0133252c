"""FAISS on a GPU: whether there is one, what it can hold, and bringing an index there.

The build decides, never the name of a wheel: every function asks FAISS itself. An index stays on the CPU as well, and
that one is what is saved and compared with the rows; the GPU holds a copy of it to search.

FAISS's GPU resources are not thread-safe, not even for reading (its wiki, "Threads and asynchronous calls"), and all
indexes of the process share one: whoever works on the GPU holds `ON_GPU`, also while another index is being built.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import RLock

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.index_kinds import IndexKind

MOST_CANDIDATES = 2048
"""FAISS's limit on k, and on nprobe, on a GPU."""

ON_GPU = RLock()

_resources: list[faiss.StandardGpuResources] = []


def gpus() -> int:
    """How many GPUs FAISS sees; 0 in a build without GPU support."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def gpu_memory() -> int | None:
    """Bytes of memory that are free on the first GPU, or None where FAISS sees none."""
    return int(faiss.get_free_memory(0)) if gpus() and hasattr(faiss, "get_free_memory") else None


def has_cagra() -> bool:
    """Whether there is a GPU and FAISS was built with cuVS, which has CAGRA."""
    return gpus() > 0 and hasattr(faiss, "GpuIndexCagra")


def copied_to_gpu(kind: IndexKind, index: faiss.Index) -> faiss.Index:
    """A copy of an index on the first GPU."""
    options = faiss.GpuClonerOptions()
    # The look-up tables of 64-byte codes fit a GPU's shared memory only as halves; what is float32 stays float32.
    options.useFloat16 = kind.codes in ("fp16", "pq")
    if kind.codes in ("fp16", "sq8") and hasattr(options, "use_cuvs"):
        options.use_cuvs = False  # has no scalar quantiser
    with ON_GPU:
        return faiss.index_cpu_to_gpu(resources(), 0, index, options)


def resources() -> faiss.StandardGpuResources:
    """One for the process: each sets memory of the GPU aside."""
    if not _resources:
        _resources.append(faiss.StandardGpuResources())
    return _resources[0]


def made_on_gpu(
    embedding_size: int, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]
) -> faiss.Index:
    """CAGRA's graph of keys int64[m] and vectors float32[m, d], made on a GPU from all of them at once, on the CPU."""
    parts = list(batches)
    vectors = np.concatenate([np.empty((0, embedding_size), np.float32), *(some for _, some in parts)])
    keys = np.concatenate([np.empty(0, np.int64), *(some for some, _ in parts)])
    with ON_GPU:
        graph = faiss.GpuIndexCagra(resources(), embedding_size, faiss.METRIC_INNER_PRODUCT)
        index = faiss.IndexIDMap(graph)
        index.add_with_ids(vectors, keys)
        return faiss.index_gpu_to_cpu(index)
