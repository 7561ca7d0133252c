"""A FAISS index under keys of ours, that may be searched, extended and reduced from many threads.

FAISS allows searches beside each other but no change beside a search, and on a GPU not even two searches; a
readers-writer lock and, on a GPU, one owner at a time see to that. Parameters of a search go with the call
and never onto the shared index. Removed keys are only remembered (a graph cannot forget a vertex, and for the
other kinds forgetting is a pass over the whole index); once they are many, the index is compacted, or asks to
be rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY
from indexes.index_kinds import KINDS, IndexKind
from indexes.index_training import trained
from indexes.read_write_lock import ReadWriteLock
from indexes.stored_codes import coded, part

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_GRAPH_ADD = 256
"""Vertices added to a graph while searches wait: a tenth of a second, not the whole batch's seconds."""

_DEAD_FEWEST, _DEAD_SHARE = 256, 0.05
_REBUILD_FEWEST, _REBUILD_SHARE = 1000, 0.2
_GPU_MOST_CANDIDATES = 2048
"""FAISS's limit on k, and on nprobe, on a GPU."""


class FaissIndex:
    """Vectors float32[n, d] under keys int64[n]; similarity is the inner product.

    effort: the width of a search, efSearch of a graph or nprobe of an inverted file.
    """

    def __init__(self, kind: IndexKind, index: faiss.Index, effort: int, *, gpu: bool | None = None) -> None:
        """Take over a FAISS index. gpu: None puts it on the GPU if FAISS sees one and has the kind for it."""
        self.kind = kind
        self.effort = effort
        self.on_gpu = kind.on_gpu and (gpus() > 0 if gpu is None else gpu)
        self._lock = ReadWriteLock()
        self._index = self._placed(index)
        self._dead: Keys = np.empty(0, dtype=np.int64)

    @classmethod
    def build(
        cls,
        kind: IndexKind,
        embedding_size: int,
        training: Vectors,
        batches: Iterable[tuple[Keys, Vectors]],
        *,
        items: int,
        gpu: bool | None = None,
    ) -> FaissIndex:
        """Train for so many items on float32[t, d] (t = `training_size`), then add the batches."""
        index = cls(kind, trained(kind, embedding_size, training, items), kind.effort, gpu=gpu)
        for keys, vectors in batches:
            index.add(keys, vectors)
        return index

    @classmethod
    def empty(cls, embedding_size: int) -> FaissIndex:
        """A flat index with nothing in it."""
        return cls.build(
            KINDS["flat"], embedding_size, np.empty((0, embedding_size), np.float32), [], items=0
        )

    def __len__(self) -> int:
        return int(self._index.ntotal) - len(self._dead)

    @property
    def embedding_size(self) -> int:
        """D."""
        return int(self._index.d)

    @property
    def wants_rebuild(self) -> bool:
        """Whether so many removed vectors are left in it that building it anew pays."""
        return not self.kind.removes and len(self._dead) > max(
            _REBUILD_FEWEST, _REBUILD_SHARE * self._index.ntotal
        )

    def keys(self) -> Keys:
        """int64[n], ascending: the keys that are in it and not removed."""
        with self._searching():
            return np.setdiff1d(_all_keys(self._on_cpu()), self._dead, assume_unique=True)

    def part(self, number: int) -> tuple[Keys, Vectors] | None:
        """Keys int64[m] and vectors float32[m, d] as it holds them, a part at a time; None beyond the last part.

        A change between two parts may move vectors from one part to another.
        """
        with self._searching():
            stored = part(self._on_cpu(), number)
            if stored is None:
                return None
            keys, vectors = stored
            live = ~np.isin(keys, self._dead)
            return keys[live], vectors[live]

    def coded(self, vectors: Vectors) -> Vectors:
        """float32[m, d]: what is left of vectors once it stores them; themselves for a kind with exact scores."""
        if self.kind.exact_scores:
            return vectors
        with self._searching():
            return coded(self._on_cpu(), vectors)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Add float32[m, d] under keys int64[m] that were never in it."""
        step = _GRAPH_ADD if self.kind.name == "hnsw" else max(len(keys), 1)
        for start in range(0, len(keys), step):
            part = slice(start, start + step)
            with self._lock.writing():
                self._index.add_with_ids(
                    np.ascontiguousarray(vectors[part], dtype=np.float32), np.ascontiguousarray(keys[part])
                )

    def remove(self, keys: Keys) -> None:
        """Remove keys that are in it; no search finds them any more."""
        if len(keys) == 0:
            return
        with self._lock.writing():
            self._dead = np.union1d(self._dead, keys)
            if self.kind.removes and len(self._dead) > max(_DEAD_FEWEST, _DEAD_SHARE * self._index.ntotal):
                self._drop_dead()

    def forget_removed(self) -> bool:
        """Free what removed vectors still take; False if this kind cannot and has to be built anew."""
        with self._lock.writing():
            if len(self._dead) and self.kind.removes:
                self._drop_dead()
            return len(self._dead) == 0

    def _drop_dead(self) -> None:
        index = self._on_cpu()
        index.remove_ids(self._dead)
        self._index = self._placed(index)
        self._dead = np.empty(0, dtype=np.int64)

    def search(self, queries: Vectors, k: int, *, among: Keys | None = None) -> tuple[Vectors, Keys]:
        """The best k it finds for float32[q, d]: scores float32[q, k] and keys int64[q, k], best first.

        Scores are the index's own, which for some kinds are approximate. Where it finds fewer than k, NO_KEY
        with score -inf. among: only these keys, exactly; for flat indexes on the CPU.
        """
        with self._searching():
            n = int(self._index.ntotal)
            live = min(k, n - len(self._dead)) if among is None else 0
            effort, fetch = self.effort, min(n, k if len(self._dead) == 0 else k + max(16, k // 4))
            while True:
                if fetch == 0 or (self.on_gpu and fetch > _GPU_MOST_CANDIDATES):
                    return _nothing(len(queries), k)
                scores, keys = _numpy_search(self._index)(
                    queries, fetch, params=self._parameters(effort, fetch, among)
                )
                scores, keys = self._without_dead(scores, keys, k)
                fewest = int((keys != NO_KEY).sum(axis=1).min(initial=k))
                if fewest >= live or (fetch == n and effort >= n):
                    return scores, keys
                # Removed vectors stood in the way, or too few lists or vertices were visited.
                fetch, effort = min(n, 2 * fetch), max(2 * effort, 1)

    def write(self, writer: faiss.IOWriter) -> None:
        """Write FAISS's own form of it; searches go on meanwhile."""
        with self._searching():
            faiss.write_index(self._on_cpu(), writer)

    def _searching(self) -> AbstractContextManager[None]:
        return self._lock.writing() if self.on_gpu else self._lock.reading()

    def _on_cpu(self) -> faiss.Index:
        return faiss.index_gpu_to_cpu(self._index) if self.on_gpu else self._index

    def _placed(self, index: faiss.Index) -> faiss.Index:
        if not self.on_gpu:
            return index
        options = faiss.GpuClonerOptions()
        # The look-up tables of 64-byte codes fit a GPU's shared memory only as halves; flat and ivf stay
        # float32.
        options.useFloat16 = self.kind.name == "ivfpq"
        return faiss.index_cpu_to_gpu(_gpu_resources(), 0, index, options)

    def _parameters(self, effort: int, fetch: int, among: Keys | None) -> faiss.SearchParameters | None:
        match self.kind.name:
            case "hnsw":
                return faiss.SearchParametersHNSW(efSearch=max(effort, 2 * fetch))
            case "ivf" | "ivfpq":
                most = _GPU_MOST_CANDIDATES if self.on_gpu else effort
                return faiss.SearchParametersIVF(nprobe=min(effort, most))
            case _ if among is not None:
                return faiss.SearchParameters(sel=faiss.IDSelectorBatch(among))
        return None

    def _without_dead(self, scores: Vectors, keys: Keys, k: int) -> tuple[Vectors, Keys]:
        gone = keys == NO_KEY
        if len(self._dead):
            at = np.minimum(np.searchsorted(self._dead, keys), len(self._dead) - 1)
            gone |= self._dead[at] == keys
        if gone.any():
            # A stable sort moves what is gone to the end and keeps the order of the rest.
            order = np.argsort(gone, axis=1, kind="stable")
            scores = np.take_along_axis(np.where(gone, -np.inf, scores).astype(np.float32), order, axis=1)
            keys = np.take_along_axis(np.where(gone, NO_KEY, keys), order, axis=1)
        scores, keys = scores[:, :k], keys[:, :k]
        missing = ((0, 0), (0, k - scores.shape[1]))
        return np.pad(scores, missing, constant_values=-np.inf), np.pad(keys, missing, constant_values=NO_KEY)


def gpus() -> int:
    """How many GPUs FAISS sees; 0 in a build without GPU support."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def gpu_memory() -> int | None:
    """Bytes of memory that are free on the first GPU, or None where FAISS sees none."""
    return int(faiss.get_free_memory(0)) if gpus() and hasattr(faiss, "get_free_memory") else None


_resources: list[faiss.StandardGpuResources] = []


def _gpu_resources() -> faiss.StandardGpuResources:
    # One for the process: each sets memory of the GPU aside.
    if not _resources:
        _resources.append(faiss.StandardGpuResources())
    return _resources[0]


def _all_keys(index: faiss.Index) -> Keys:
    if isinstance(index, faiss.IndexIDMap):
        return np.sort(faiss.vector_to_array(index.id_map))
    lists = index.invlists
    parts = [
        faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy()
        for i in range(index.nlist)
        if lists.list_size(i)
    ]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)


def _nothing(queries: int, k: int) -> tuple[Vectors, Keys]:
    return np.full((queries, k), -np.inf, np.float32), np.full((queries, k), NO_KEY, np.int64)


def _numpy_search(index: faiss.Index) -> Callable[..., tuple[Vectors, Keys]]:
    """FAISS's `search` for arrays, which takes search parameters.

    `faiss.contrib.torch_utils`, which other libraries in the process may import, puts one that takes none in its place
    and keeps this one under another name.
    """
    search: Callable[..., tuple[Vectors, Keys]] = getattr(index, "search_numpy", index.search)
    return search
