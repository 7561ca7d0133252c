"""What a FAISS index on the CPU holds under its keys, read back: to compare an index with its rows."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_AT_ONCE = 4096


def all_keys(index: faiss.Index) -> Keys:
    """int64[n], ascending."""
    if isinstance(index, faiss.IndexIDMap):
        return np.sort(faiss.vector_to_array(index.id_map))
    lists = index.invlists
    keys = [
        faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy()
        for i in range(index.nlist)
        if lists.list_size(i)
    ]
    return np.sort(np.concatenate(keys)) if keys else np.empty(0, dtype=np.int64)


def parts(index: faiss.Index) -> int:
    """How many parts it has: the lists of an inverted file, and otherwise runs of a few thousand as they came."""
    return -(-int(index.ntotal) // _AT_ONCE) if isinstance(index, faiss.IndexIDMap) else int(index.nlist)


def part(index: faiss.Index, number: int) -> tuple[Keys, Vectors]:
    """Keys int64[m] and vectors float32[m, d] of one part, decoded, or as they are where it keeps them too."""
    if isinstance(index, faiss.IndexIDMap):
        start, stop = number * _AT_ONCE, min((number + 1) * _AT_ONCE, int(index.ntotal))
        keys = faiss.rev_swig_ptr(index.id_map.data(), int(index.ntotal))[start:stop].copy()
        vectors = np.empty((stop - start, index.d), np.float32)
        held = _below(index)
        if isinstance(held, faiss.IndexRefine):
            held = faiss.downcast_index(held.refine_index)
        # Told where to put them, for another library may have made it answer with torch's tensors.
        held.reconstruct_n(start, stop - start, vectors)
        return keys, vectors
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
    codec = base(index)
    decoded: Vectors = codec.sa_decode(codec.sa_encode(np.ascontiguousarray(vectors)))
    return decoded


def refines(index: faiss.Index) -> bool:
    """Whether it keeps the vectors beside their codes and re-ranks by them."""
    return isinstance(_below(index), faiss.IndexRefine)


def floats(index: faiss.Index) -> faiss.IndexFlat | None:
    """The flat index of all its vectors as they are, in the order of its numbering; None if it has none such."""
    held = _below(index)
    if isinstance(held, faiss.IndexRefine):
        held = faiss.downcast_index(held.refine_index)
    elif isinstance(held, faiss.IndexHNSW):
        held = faiss.downcast_index(held.storage)
    return held if isinstance(held, faiss.IndexFlat) else None


def base(index: faiss.Index) -> faiss.Index:
    """What is below the numbering of vectors and below their refining: the index that has the codes."""
    below = _below(index)
    return faiss.downcast_index(below.base_index) if isinstance(below, faiss.IndexRefine) else below


def _below(index: faiss.Index) -> faiss.Index:
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexIDMap) else index
