"""One search of a FAISS index, with parameters that go with the call, past the keys that were removed from it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY
from indexes.gpu_placement import MOST_CANDIDATES, ON_GPU
from indexes.index_kinds import IndexKind
from indexes.search_width import SearchWidth

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_QUERY_BITS = 8
"""To which RaBitQ rounds a query's numbers: products are then of integers."""

_READ_PER_WANTED = 4
"""Vectors that the lists which are read hold on average for each that is wanted, however narrow the search."""

_REMEMBERED = 64
"""Parameters, mostly one for each number of hits that is asked for."""


@dataclass(frozen=True)
class FaissSearch:
    """Searches an index. refined: it re-ranks its candidates itself. lists: of an inverted file, else 0."""

    index: faiss.Index
    kind: IndexKind
    refined: bool
    on_gpu: bool
    lists: int
    _made: dict[tuple[int, int, int, SearchWidth], faiss.SearchParameters | None] = field(
        default_factory=dict, compare=False, repr=False
    )
    """FAISS only reads parameters, so that searches may share them, and to make them takes longer than all that this
    class does beside.
    """

    def __call__(self, queries: Vectors, k: int, width: SearchWidth, *, dead: Keys) -> tuple[Vectors, Keys]:
        """The best k for float32[q, d] that are not dead: scores float32[q, k] and keys int64[q, k].

        NO_KEY with score -inf beyond them. dead: int64[m], ascending. The width grows until as many are found as there
        are.
        """
        n = int(self.index.ntotal)
        live = min(k, n - len(dead))
        # Twice the share of the dead; mostly none of the best is.
        visited, fetch = width.visited, min(n, k + 2 * k * len(dead) // max(n, 1))
        while True:
            if fetch == 0 or (self.on_gpu and fetch > MOST_CANDIDATES):
                return np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), NO_KEY)
            parameters = self.parameters(visited, fetch, width)
            with ON_GPU if self.on_gpu else nullcontext():
                scores, keys = numpy_search(self.index)(queries, fetch, params=parameters)
            if fetch == k and len(dead) == 0 and len(keys) and keys[:, -1].min() != NO_KEY:
                return scores, keys
            scores, keys = _first_live(scores, keys, k, dead)
            fewest = int((keys != NO_KEY).sum(axis=1).min(initial=k))
            if fewest >= live or (fetch == n and visited >= n):
                return scores, keys
            # Removed vectors stood in the way, or too few lists or vertices were visited.
            fetch, visited = min(n, 2 * fetch), max(2 * visited, 1)

    def parameters(self, visited: int, fetch: int, width: SearchWidth) -> faiss.SearchParameters | None:
        """FAISS's form of a width that visits so many, for a search of so many."""
        asked = int(self.index.ntotal), visited, fetch, width
        made = self._made.get(asked)
        if made is None:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            made = self._made[asked] = self._make(*asked)
        return made

    def _make(
        self, items: int, visited: int, fetch: int, width: SearchWidth
    ) -> faiss.SearchParameters | None:
        if not self.refined:
            return self._own_parameters(items, visited, fetch)
        candidates = min(items, self.kind.candidates(fetch, width))
        # The factor is a float that FAISS multiplies by k and cuts off.
        return faiss.IndexRefineSearchParameters(
            k_factor=(candidates + 0.5) / fetch,
            base_index_params=self._own_parameters(items, visited, candidates),
        )

    def _own_parameters(self, items: int, visited: int, fetch: int) -> faiss.SearchParameters | None:
        if self.kind.structure == "lists":
            probes = max(visited, min(self.lists, _READ_PER_WANTED * fetch * self.lists // items))
            if self.kind.codes == "rabitq":
                return faiss.IVFRaBitQSearchParameters(nprobe=probes, qb=_QUERY_BITS)
            return faiss.SearchParametersIVF(nprobe=min(probes, MOST_CANDIDATES) if self.on_gpu else probes)
        if self.kind.structure == "graph" and self.on_gpu:
            # CAGRA wants a multiple of 32, and no fewer than are asked for.
            return faiss.SearchParametersCagra(itopk_size=-(-max(visited, fetch) // 32) * 32)
        if self.kind.structure == "graph":
            return faiss.SearchParametersHNSW(efSearch=max(visited, fetch))
        return None


def _first_live(scores: Vectors, keys: Keys, k: int, dead: Keys) -> tuple[Vectors, Keys]:
    gone = keys == NO_KEY
    if len(dead):
        at = np.minimum(np.searchsorted(dead, keys), len(dead) - 1)
        gone |= dead[at] == keys
    if gone.any():
        # A stable sort moves what is gone to the end and keeps the order of the rest.
        order = np.argsort(gone, axis=1, kind="stable")
        scores = np.take_along_axis(np.where(gone, -np.inf, scores).astype(np.float32), order, axis=1)
        keys = np.take_along_axis(np.where(gone, NO_KEY, keys), order, axis=1)
    scores, keys = scores[:, :k], keys[:, :k]
    missing = k - scores.shape[1]
    if missing == 0:
        return scores, keys
    return (
        np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf),
        np.pad(keys, ((0, 0), (0, missing)), constant_values=NO_KEY),
    )


def numpy_search(index: faiss.Index) -> Callable[..., tuple[Vectors, Keys]]:
    """FAISS's `search` for arrays, which takes search parameters.

    `faiss.contrib.torch_utils`, which other libraries in the process may import, puts one that takes none in its place
    and keeps this one under another name.
    """
    search: Callable[..., tuple[Vectors, Keys]] = getattr(index, "search_numpy", index.search)
    return search
