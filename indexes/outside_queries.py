"""Queries as from outside, made of the collection's own items: each is kept back from an index with all that is alike.

Items come in groups that are alike, so one that was kept back alone is found at once among its own, and says that any
index is good. Photos that people search with need not be close to any item. Of the 60,000 items of
`benchmarks/search.py`, 512 real ones took 48 vertices of a graph for 0.99, items kept back alone fewer than 16, and
those kept back in this way 64; of inverted lists of one bit a number the real ones found 0.985 at most, those kept back
alone all, and these 0.98.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY, exact_search

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_MOST_QUERIES = 400
_GROUP, _AMONG, _LARGEST_GROUP = 16, 65_536, 256
"""The nearest sixteen of so many items are alike, and of more items as many more, up to the largest group."""
_SHARE = 4
"""At most one item in so many is kept back."""


def group_size(items: int) -> int:
    """How many items count as alike to one of so many."""
    return min(_LARGEST_GROUP, max(_GROUP, _GROUP * items // _AMONG))


def query_count(items: int) -> int:
    """How many queries can be made of so many items; 0 of a few dozen."""
    return min(_MOST_QUERIES, items // (_SHARE * (1 + group_size(items))))


def with_groups(asked: Keys, queries: Vectors, batches: Iterable[tuple[Keys, Vectors]], group: int) -> Keys:
    """int64[m], ascending: the keys of the queries and of the so many items nearest to each.

    asked: int64[q]; queries: float32[q, d]; batches: all items, the queries among them.
    """
    nearest = exact_search(queries, batches, group + 1)[1]
    return np.union1d(asked, nearest[nearest != NO_KEY])
