"""How many negatives come before each positive, for every query: all that Recall@K and MAP@R need to know.

A query's positives are the gallery items of its class but itself; the negatives are the rest. Similarity is the
inner product, greatest first; ties go in the order of the gallery, as a stable sort leaves them. A positive's rank is
then its number among the positives plus the number of negatives before it, so nothing has to be ranked but the
positives.

The positives' similarities are exact from the start (they are few: a query meets only its own class). The negatives
come from a fast product with a known error bound; what the bound leaves open is recomputed exactly, pair by pair
where it is little and whole rows where it is much. The counts are therefore exact, whatever the arithmetic of the
fast product.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.products import (
    TIE,
    FastProduct,
    Float32,
    Float64,
    exact_pairs,
    exact_product,
    fast_dtype,
    norms,
)

Int64 = NDArray[np.int64]

MAX_QUERIES = 512
"""Queries at a time: more do not make the product faster."""

PAIRS_SHARE = 50
"""Above one open pair in so many, a whole row of exact products costs less than the pairs one by one."""


@dataclass(frozen=True)
class Ranked:
    """Where the positives of one query stand. query: its row.

    before: int64[R], ascending: negatives before each positive. A count that is no less than the number of
    positives, nor than the greatest K asked for, may be cut off there.
    """

    query: int
    before: Int64


@dataclass(frozen=True)
class Ranks:
    """Where the positives of every query that has any stand.

    queries: int64[s], their rows. counts: int64[s], the positives of each. before: int64[sum of counts], as in
    `Ranked`, those of a query together.
    """

    queries: Int64
    counts: Int64
    before: Int64

    @classmethod
    def joined(cls, ranked: Iterable[Ranked]) -> Ranks:
        """One after the other."""
        each = list(ranked)
        return cls(
            queries=np.array([one.query for one in each], np.int64),
            counts=np.array([len(one.before) for one in each], np.int64),
            before=np.concatenate([np.empty(0, np.int64), *(one.before for one in each)]),
        )


@dataclass(frozen=True)
class _Query:
    """A query against the gallery in the order of its labels, where its class lies at first:last."""

    row: int
    vector: Float32
    first: int
    last: int
    similarities: Float64
    positions: Int64
    error: float
    shift: float
    tie: float
    k: int

    @property
    def is_best(self) -> NDArray[np.bool_]:
        """Which positives may be the first of all; more than one where they are tied."""
        mask: NDArray[np.bool_] = self.similarities >= self.similarities.max() - 2 * self.tie
        return mask


def rank_positives(
    query: Float32,
    query_labels: Int64,
    gallery: Float32,
    gallery_labels: Int64,
    self_index: Int64,
    *,
    k: int,
    chunk_bytes: int,
) -> Iterator[Ranked]:
    """Rank the positives of every query that has any, in no particular order of the queries.

    query: float32[q, d]; gallery: float32[n, d], finite. self_index: int64[q], the query's own row in the gallery or
    -1. k: the greatest K that matters. chunk_bytes: bound on the similarities held at a time. Beyond that, and beyond
    the input, a gallery that is not in the order of its labels is copied once, and once in bfloat16.
    """
    order = np.argsort(gallery_labels, kind="stable")
    in_order = bool((np.diff(order) == 1).all())
    vectors = torch.from_numpy(gallery if in_order else gallery[order])
    labels = gallery_labels[order]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    own = np.where(self_index >= 0, place[self_index], -1)

    first = np.searchsorted(labels, query_labels, "left")
    last = np.searchsorted(labels, query_labels, "right")
    positives = last - first - (self_index >= 0)
    by_label = np.argsort(query_labels, kind="stable")
    by_label = by_label[positives[by_label] > 0]
    if len(by_label) == 0:
        return

    fast = FastProduct(vectors, fast_dtype())
    greatest = float(norms(vectors).max())
    # Similarities in float32 and bfloat16, a mask or two over them, and the float64 ones of the query's own class.
    bytes_per_query = 12 * len(gallery) + 32 * int(positives.max())
    step = min(max(chunk_bytes // bytes_per_query, 1), MAX_QUERIES)
    with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="ranking") as pool:
        for start in range(0, len(by_label), step):
            rows = by_label[start : start + step]
            block = torch.from_numpy(query[rows])
            (products, shifts), errors = fast.products(block), fast.errors(block)
            queries = _with_positives(
                rows, block, vectors, order, first, last, own, errors, shifts, greatest, k
            )
            counts = pool.map(
                lambda item, near: _count_fast(item, near, fast, vectors, order), queries, products
            )
            open_queries = []
            for item, before in zip(queries, counts, strict=True):
                if before is None:
                    open_queries.append(item)
                else:
                    yield Ranked(item.row, before)
            del products, counts
            for at in range(0, len(open_queries), max(step // 4, 1)):
                part = open_queries[at : at + max(step // 4, 1)]
                exact = exact_product(torch.from_numpy(np.stack([item.vector for item in part])), vectors)
                counts = pool.map(lambda item, near: _count_exact(item, near, order), part, exact)
                for item, before in zip(part, counts, strict=True):
                    assert before is not None
                    yield Ranked(item.row, before)


def _with_positives(
    rows: Int64,
    block: Tensor,
    vectors: Tensor,
    order: Int64,
    first: Int64,
    last: Int64,
    own: Int64,
    errors: Float64,
    shifts: Float64,
    greatest: float,
    k: int,
) -> list[_Query]:
    """Give each query of a block the exact similarities of its positives, class by class."""
    queries = []
    ties = TIE * greatest * np.linalg.norm(block.numpy().astype(np.float64), axis=1)
    starts = np.flatnonzero(np.diff(first[rows], prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        low, high = int(first[rows[start]]), int(last[rows[start]])
        similarities = exact_product(block[start:stop], vectors[low:high])
        for i in range(start, stop):
            row = int(rows[i])
            others = np.flatnonzero(np.arange(low, high) != own[row])
            others = others[np.argsort(similarities[i - start][others])]  # neighbours are searched for faster
            queries.append(
                _Query(
                    row=row,
                    vector=block[i].numpy(),
                    first=low,
                    last=high,
                    similarities=similarities[i - start][others],
                    positions=order[low:high][others],
                    error=float(errors[i]),
                    shift=float(shifts[i]),
                    tie=float(ties[i]),
                    k=k,
                )
            )
    return queries


def _count_fast(
    query: _Query, products: Float32, fast: FastProduct, vectors: Tensor, order: Int64
) -> Int64 | None:
    """Negatives before each positive from approximate products, which are overwritten; None if too many are open."""
    products[query.first : query.last] = -np.inf
    # Counts from which on a positive no longer matters: R for MAP@R, and K too for the best one.
    count, is_best = len(query.similarities), query.is_best
    limits = np.where(is_best, max(count, query.k), count)
    negatives = len(products) - (query.last - query.first)
    depth = min(int(limits.max()), negatives)
    if depth == 0:
        return np.zeros(len(limits), np.int64)
    best = _greatest(products, depth)
    shifted = query.similarities - query.shift
    width = fast.width(shifted, query.error)
    upper = (shifted + width).astype(np.float32)
    lower = (shifted - width).astype(np.float32)
    before = depth - np.searchsorted(best, upper, "right")
    reach = depth - np.searchsorted(best, lower, "left")
    is_open = (before != reach) & (before < limits)
    if is_open.any():
        near = np.flatnonzero((products >= lower[is_open].min()) & (products <= upper[is_open].max()))
        if len(near) * PAIRS_SHARE > max(len(products), 10_000):
            return None
        exact = exact_pairs(query.vector, vectors[near].numpy())
        certain = before[is_open].min()
        before[is_open] = certain + _count_before(
            exact, order[near], query.similarities[is_open], query.positions[is_open], query.tie
        )
    # What was cut off at R may be less than the true count, but no positive comes before the best one.
    return np.sort(np.maximum(before, before[is_best].min()))


def _count_exact(query: _Query, products: Float64, order: Int64) -> Int64:
    """Negatives before each positive from exact products, which are overwritten."""
    products[query.first : query.last] = -np.inf
    near = np.flatnonzero(products >= query.similarities.min() - query.tie)
    return np.sort(_count_before(products[near], order[near], query.similarities, query.positions, query.tie))


def _greatest(products: Float32, depth: int) -> Float32:
    """The `depth` greatest numbers, ascending."""
    rest = len(products) - depth
    best = np.partition(products, rest)[rest:] if depth * 4 < len(products) else products.copy()
    best.sort()
    return best[len(best) - depth :]


def _count_before(
    negatives: Float64, negative_positions: Int64, positives: Float64, positions: Int64, tie: float
) -> Int64:
    """For each positive, the negatives that are more similar, or tied and earlier in the gallery."""
    ascending = np.sort(negatives)
    low = np.searchsorted(ascending, positives - tie, "left")
    high = np.searchsorted(ascending, positives + tie, "right")
    before: Int64 = len(negatives) - high
    tied = np.flatnonzero(low != high)
    if len(tied):
        negative_positions = negative_positions[np.argsort(negatives)]
        # Positives of one similarity are tied with the same negatives, which are then sorted only once.
        ranges, which = np.unique(np.stack([low[tied], high[tied]], axis=1), axis=0, return_inverse=True)
        for number, (start, stop) in enumerate(ranges):
            members = tied[which == number]
            earlier = np.sort(negative_positions[start:stop])
            before[members] += np.searchsorted(earlier, positions[members])
    return before
