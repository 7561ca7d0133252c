"""Exact search among some of the keys of an index, for a filter: past the vectors that it keeps as they are."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY
from indexes.faiss_search import numpy_search
from indexes.stored_codes import floats

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]


def search_among(index: faiss.Index, queries: Vectors, k: int, keys: Keys) -> tuple[Vectors, Keys]:
    """The best k of these keys for float32[q, d], those of them that are there: scores float32[q, k], keys int64[q, k].

    NO_KEY with score -inf beyond them. The index must keep floats (`stored_codes.floats`).
    """
    n = int(index.ntotal)
    present = faiss.vector_to_array(index.id_map)
    chosen = np.isin(present, keys)
    fetch = min(k, int(chosen.sum()))
    scores = np.full((len(queries), k), -np.inf, np.float32)
    found = np.full((len(queries), k), NO_KEY, np.int64)
    if fetch:
        bits = np.packbits(chosen, bitorder="little")
        selector = faiss.IDSelectorBitmap(n, faiss.swig_ptr(bits))
        parameters = faiss.SearchParameters(sel=selector)
        scores[:, :fetch], places = numpy_search(floats(index))(queries, fetch, params=parameters)
        found[:, :fetch] = present[places]
    return scores, found
