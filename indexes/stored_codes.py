"""What a FAISS index holds under its keys, read back as vectors: to compare an index with its rows."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_AT_ONCE = 4096


def part(index: faiss.Index, number: int) -> tuple[Keys, Vectors] | None:
    """Keys int64[m] and vectors float32[m, d] of one part of an index on the CPU, decoded; None beyond the last part.

    Parts are the lists of an inverted file, and otherwise runs of a few thousand in the order of their arrival.
    """
    if isinstance(index, faiss.IndexIDMap):
        start, stop = number * _AT_ONCE, min((number + 1) * _AT_ONCE, int(index.ntotal))
        if start >= stop:
            return None
        keys = faiss.rev_swig_ptr(index.id_map.data(), int(index.ntotal))[start:stop].copy()
        vectors = np.empty((stop - start, index.d), np.float32)
        # Told where to put them, for another library may have made it answer with torch's tensors.
        _inner(index).reconstruct_n(start, stop - start, vectors)
        return keys, vectors
    if number >= index.nlist:
        return None
    lists = index.invlists
    size = lists.list_size(number)
    if size == 0:
        return np.empty(0, np.int64), np.empty((0, index.d), np.float32)
    keys = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
    codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size).reshape(size, -1)
    # FAISS's own decoder wants the number of its list before each code.
    which = np.frombuffer(number.to_bytes(index.coarse_code_size(), "little"), np.uint8)
    return keys, index.sa_decode(np.concatenate([np.tile(which, (size, 1)), codes], axis=1))


def coded(index: faiss.Index, vectors: Vectors) -> Vectors:
    """float32[m, d]: what is left of vectors that this index stores, without storing them."""
    codec = _inner(index) if isinstance(index, faiss.IndexIDMap) else index
    decoded: Vectors = codec.sa_decode(codec.sa_encode(np.ascontiguousarray(vectors)))
    return decoded


def _inner(index: faiss.IndexIDMap) -> faiss.Index:
    return faiss.downcast_index(index.index)
