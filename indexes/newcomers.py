"""What came after an index that cannot grow was made: a flat index beside it, searched with it."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import best
from indexes.faiss_search import FaissSearch
from indexes.index_kinds import KINDS
from indexes.search_among import search_among
from indexes.search_width import SearchWidth
from indexes.stored_codes import all_keys, part, parts

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]


class Newcomers:
    """Vectors float32[n, d] under keys int64[n]; the index that owns them sees to the locking."""

    def __init__(self, embedding_size: int, index: faiss.Index | None = None) -> None:
        """index: what `write` wrote."""
        self._index = index if index is not None else faiss.IndexIDMap(faiss.IndexFlatIP(embedding_size))
        self._search = FaissSearch(self._index, KINDS["flat"], refined=False, on_gpu=False, lists=0)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def keys(self) -> Keys:
        """int64[n], ascending."""
        return all_keys(self._index)

    @property
    def parts(self) -> int:
        """How many parts they are read back in."""
        return parts(self._index)

    def part(self, number: int) -> tuple[Keys, Vectors]:
        """One of them, in the order of their arrival."""
        return part(self._index, number)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Add float32[m, d] under keys int64[m]."""
        self._index.add_with_ids(vectors, keys)

    def remove(self, keys: Keys) -> Keys:
        """Remove those of the keys that are among them; returns the others."""
        here = np.isin(keys, self.keys())
        if here.any():
            self._index.remove_ids(np.ascontiguousarray(keys[here]))
        return keys[~here]

    def joined(self, scores: Vectors, keys: Keys, queries: Vectors) -> tuple[Vectors, Keys]:
        """The best of what an index has found for float32[q, d] (scores float32[q, k], keys int64[q, k]) and these."""
        if len(self) == 0:
            return scores, keys
        k = scores.shape[1]
        more_scores, more_keys = self._search(queries, k, SearchWidth(), dead=np.empty(0, np.int64))
        return best(np.hstack([scores, more_scores]), np.hstack([keys, more_keys]), k)

    def joined_among(
        self, scores: Vectors, keys: Keys, queries: Vectors, among: Keys
    ) -> tuple[Vectors, Keys]:
        """The same where only some keys are wanted."""
        more_scores, more_keys = search_among(self._index, queries, scores.shape[1], among)
        return best(np.hstack([scores, more_scores]), np.hstack([keys, more_keys]), scores.shape[1])

    def write(self, writer: faiss.IOWriter) -> None:
        """Write FAISS's own form of them."""
        faiss.write_index(self._index, writer)
