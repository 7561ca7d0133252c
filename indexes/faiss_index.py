"""A FAISS index under keys of ours, that may be searched, extended and reduced from many threads.

FAISS allows searches beside each other but no change beside a search, and on a GPU not even two searches; a
readers-writer lock and, on the GPU, one user at a time see to that. Parameters of a search go with the call
and never onto the shared index. Removed keys are only remembered (a graph cannot forget a vertex, and for the
other kinds forgetting is a pass over the whole index); once they are many, the index is compacted, or asks to
be rebuilt. An index that cannot grow, because it is mapped from its file or made in one piece, has its
newcomers in a flat index beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.faiss_search import FaissSearch
from indexes.gpu_placement import ON_GPU, copied_to_gpu, gpus, made_on_gpu
from indexes.index_kinds import KINDS, IndexKind
from indexes.index_training import trained
from indexes.mapped_payload import MappedPayload
from indexes.newcomers import Newcomers
from indexes.read_write_lock import ReadWriteLock
from indexes.search_among import search_among
from indexes.search_width import SearchWidth
from indexes.stored_codes import all_keys, base, coded, floats, part, parts, refines

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_NOBODY: Keys = np.empty(0, dtype=np.int64)
_GRAPH_ADD = 256
"""Vertices added to a graph while searches wait: a tenth of a second, not the whole batch's seconds."""

_DEAD_FEWEST, _DEAD_SHARE = 256, 0.05


class FaissIndex:
    """Vectors float32[n, d] under keys int64[n]; similarity is the inner product."""

    def __init__(
        self,
        kind: IndexKind,
        index: faiss.Index,
        *,
        newcomers: faiss.Index | None = None,
        mapping: MappedPayload | None = None,
        gpu: bool | None = None,
    ) -> None:
        """Take over a FAISS index. newcomers: a flat one with what is not in it. mapping: what the first is a view of.

        gpu: None puts a copy on the GPU if FAISS sees one and has the kind for it.
        """
        self.kind = kind
        self.mapping = mapping
        self.refined = refines(index)
        self.on_gpu = kind.on_gpu and not self.refined and (gpus() > 0 if gpu is None else gpu)
        self._grows = mapping is None and kind.name != "cagra"
        self._lock = ReadWriteLock()
        self._index = index
        self._beside = None if self._grows else Newcomers(int(index.d), newcomers)
        self._dead = _NOBODY
        self._search = self._searching_copy()
        if self._grows and newcomers is not None:
            self._take_in(Newcomers(int(index.d), newcomers))

    @classmethod
    def build(
        cls,
        kind: IndexKind,
        embedding_size: int,
        training: Vectors,
        batches: Iterable[tuple[Keys, Vectors]],
        *,
        items: int,
        refined: bool = False,
        gpu: bool | None = None,
    ) -> FaissIndex:
        """Train for so many items on float32[t, d] (t = `training_size`), then add the batches.

        refined: a lossy kind keeps the vectors too, and so gives exact scores.
        """
        if kind.name == "cagra":
            return cls(kind, made_on_gpu(embedding_size, batches), gpu=gpu)
        refined = refined and kind.lossy
        index = cls(kind, trained(kind, embedding_size, training, items, refined=refined), gpu=gpu)
        for batch in batches:
            index.add(*batch)
        return index

    @classmethod
    def empty(cls, embedding_size: int) -> FaissIndex:
        """A flat index with nothing in it."""
        return cls.build(
            KINDS["flat"], embedding_size, np.empty((0, embedding_size), np.float32), [], items=0
        )

    def __len__(self) -> int:
        # Dropping what was removed changes two of these numbers, one after the other.
        with self._lock.reading():
            return int(self._index.ntotal) - len(self._dead) + self.newcomers

    @property
    def embedding_size(self) -> int:
        """D."""
        return int(self._index.d)

    @property
    def exact_scores(self) -> bool:
        """Whether its scores are the inner products of the stored floats; otherwise candidates are to be re-ranked."""
        return self.refined or not self.kind.lossy

    @property
    def keeps_floats(self) -> bool:
        """Whether it has the vectors as they are, and can be searched exactly."""
        return floats(self._index) is not None

    @property
    def newcomers(self) -> int:
        """How many vectors lie beside it because it cannot grow."""
        return 0 if self._beside is None else len(self._beside)

    @property
    def dead(self) -> int:
        """How many removed vectors it still holds."""
        return len(self._dead)

    @property
    def removes(self) -> bool:
        """Whether it drops removed vectors by itself once they are many; otherwise it has to be built anew for that."""
        return self._grows and not self.refined and self.kind.structure != "graph"

    def keys(self) -> Keys:
        """int64[n], ascending: the keys that are in it and not removed."""
        with self._lock.reading():
            live = np.setdiff1d(all_keys(self._index), self._dead, assume_unique=True)
            return live if self._beside is None else np.union1d(live, self._beside.keys())

    def part(self, number: int) -> tuple[Keys, Vectors] | None:
        """Keys int64[m] and vectors float32[m, d] as it holds them, a part at a time; None beyond the last part.

        A change between two parts may move vectors from one part to another.
        """
        with self._lock.reading():
            own = parts(self._index)
            if number >= own:
                beside = self._beside
                return beside.part(number - own) if beside and number - own < beside.parts else None
            keys, vectors = part(self._index, number)
            live = ~np.isin(keys, self._dead)
            return keys[live], vectors[live]

    def coded(self, vectors: Vectors) -> Vectors:
        """float32[m, d]: what is left of vectors once it stores them; themselves where its scores are exact."""
        if self.exact_scores:
            return vectors
        with self._lock.reading():
            return coded(self._index, vectors)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Add float32[m, d] under keys int64[m] that were never in it."""
        step = _GRAPH_ADD if self.kind.structure == "graph" else max(len(keys), 1)
        for start in range(0, len(keys), step):
            names = np.ascontiguousarray(keys[start : start + step])
            some = np.ascontiguousarray(vectors[start : start + step], dtype=np.float32)
            with self._lock.writing():
                if self._beside is not None:
                    self._beside.add(names, some)
                    continue
                self._index.add_with_ids(some, names)
                if self.on_gpu:
                    with ON_GPU:
                        self._search.index.add_with_ids(some, names)

    def remove(self, keys: Keys) -> None:
        """Remove keys that are in it; no search finds them any more."""
        if len(keys) == 0:
            return
        with self._lock.writing():
            self._dead = np.union1d(self._dead, keys if self._beside is None else self._beside.remove(keys))
            if self.removes and len(self._dead) > max(_DEAD_FEWEST, _DEAD_SHARE * self._index.ntotal):
                self._drop_dead()

    def forget_removed(self) -> bool:
        """Free what removed vectors still take; False if this kind cannot and has to be built anew."""
        with self._lock.writing():
            if len(self._dead) and self.removes:
                self._drop_dead()
            return len(self._dead) == 0

    def _drop_dead(self) -> None:
        self._index.remove_ids(self._dead)
        self._dead = _NOBODY
        if self.on_gpu:
            self._search = self._searching_copy()

    def _searching_copy(self) -> FaissSearch:
        searched = copied_to_gpu(self.kind, self._index) if self.on_gpu else self._index
        lists = int(base(self._index).nlist) if self.kind.structure == "lists" else 0
        return FaissSearch(searched, self.kind, self.refined, self.on_gpu, lists)

    def candidates(self, k: int, width: SearchWidth) -> int:
        """How many to ask it for so that, re-ranked, they hold the best k; k where its scores are exact."""
        return k if self.exact_scores else self.kind.candidates(k, width)

    def search(self, queries: Vectors, k: int, width: SearchWidth) -> tuple[Vectors, Keys]:
        """The best k it finds for float32[q, d]: scores float32[q, k] and keys int64[q, k], best first.

        Scores are the index's own, which for some kinds are approximate. Where it finds fewer than k, NO_KEY
        with score -inf.
        """
        with self._lock.reading():
            found = self._search(queries, k, width, dead=self._dead)
            return found if self._beside is None else self._beside.joined(*found, queries)

    def search_among(self, queries: Vectors, k: int, keys: Keys) -> tuple[Vectors, Keys]:
        """The best k of these keys, exactly, as of `search`; for an index that keeps floats."""
        with self._lock.reading():
            found = search_among(self._index, queries, k, np.setdiff1d(keys, self._dead))
            return found if self._beside is None else self._beside.joined_among(*found, queries, keys)

    def loaded(self) -> FaissIndex:
        """A copy in memory of one that is mapped, with its newcomers in it. Searches go on meanwhile."""
        assert self.mapping is not None and self._beside is not None  # noqa: PT018 - one fact, in two fields
        copy = FaissIndex(self.kind, self.mapping.copy(), gpu=False)
        with self._lock.reading():
            copy.remove(self._dead)
            copy._take_in(self._beside)
        return copy

    def _take_in(self, newcomers: Newcomers) -> None:
        for number in range(newcomers.parts):
            self.add(*newcomers.part(number))

    def write(self, writer: faiss.IOWriter) -> int:
        """Write FAISS's own form of it, and of its newcomers if there are any; how many FAISS indexes that were.

        Searches go on meanwhile.
        """
        with self._lock.reading():
            faiss.write_index(self._index, writer)
            if self._beside is None or len(self._beside) == 0:
                return 1
            self._beside.write(writer)
            return 2
