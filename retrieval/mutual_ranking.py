"""Ranking where every item is searched for among all others: each product is computed once and serves both items.

Says the same as `retrieval.ranking` of a gallery with itself. The half of the product above the diagonal is scanned for
what may come before a positive, and only that is kept: of a query whose best positive is found at once as many
negatives as it has positives, of others none but those too close to call. How similar a negative must be to matter is
known the better the more of the gallery has been seen, so the rows come in random order and what is kept is thinned out
each time their number has doubled. Between two such times nothing depends on anything: each thread multiplies a tile of
its own and scans it. While one thread thins out, the others go on by what was known before.

Where classes are large or the similarities hardly differ, nearly everything is kept; then this gives up, and whole rows
of products are the better way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from retrieval.positives import positives_of
from retrieval.products import FLOAT32_BOUNDARY, TIE, Float32, Float64, float32_error, norms
from retrieval.ranking import Ranks

Int64 = NDArray[np.int64]
Pairs = tuple[Int64, Int64, Float32]
"""Queries, items that may come before one of their positives, and how similar they are: three arrays of one length."""

BYTES_A_PAIR = 64
"""Of a negative that is kept, with what sorting needs."""

FEWEST_ROWS = 64
"""To begin with, where there is room for what they may find."""

TILE = 1024, 8192
"""Rows and columns that are multiplied at a time. OpenBLAS repacks every column for a product, which costs the less the
more rows there are."""

ROWS_TOGETHER = 16
"""Rows of a tile that are scanned at a time."""

PAIRS_AT_A_TIME = 4096
"""Products in float64."""


def rank_each_other(
    vectors: Float32,
    labels: Int64,
    *,
    k: int,
    chunk_bytes: int,
    go_on: Callable[[], None] = lambda: None,
) -> Ranks | None:
    """Rank the positives of every item that has any; None where too much would have to be kept.

    vectors: float32[n, d], finite; labels: int64[n]. k: the greatest K that matters. chunk_bytes: bound on what is held
    beside the vectors, a copy of them in random order and one for the products. go_on: called now and then; what it
    raises gives up.
    """
    items = len(vectors)
    threads = torch.get_num_threads()
    room = chunk_bytes // BYTES_A_PAIR
    fewest, most = min(FEWEST_ROWS, room // (4 * items)), TILE[0]
    columns = min(TILE[1], max(chunk_bytes // (8 * threads * most), 1))
    _, sizes = np.unique(labels, return_counts=True)
    positives = int((sizes * (sizes - 1)).sum())
    # In the end about as many negatives are kept, and the positives themselves take as much again.
    if fewest == 0 or 4 * positives > room:
        return None
    if positives == 0:
        return Ranks.joined([])
    order = np.random.default_rng(0).permutation(items)
    search = _Search(vectors[order], labels[order], order, k)
    # Fresh memory for each product would cost a part of its time.
    outputs: SimpleQueue[Float32] = SimpleQueue()
    for _ in range(threads):
        outputs.put(np.empty(most * columns, np.float32))
    waiting: deque[Future[list[Pairs]]] = deque()

    def keep_all_but(left: int) -> None:
        while len(waiting) > left:
            go_on()
            search.keep(waiting.popleft().result())

    start, thin_out_at, is_due = 0, 1, False
    # A product for each thread, rather than one after the other on all of them: none then waits for another.
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads, thread_name_prefix="ranking") as pool,
    ):
        while start < items:
            # As many as there were before, while little is known of what matters.
            stop = min(start + min(max(start, fewest), most), items)
            tiles = [(first, min(first + columns, items)) for first in range(start, items, columns)]
            for number, tile in enumerate(tiles, 1):
                waiting.append(pool.submit(search.scan, (start, stop), tile, search.threshold, outputs))
                if search.kept > room // 2 or (is_due and number == min(threads, len(tiles))):
                    keep_all_but(min(number, threads))
                    search.thin_out()
                    is_due, thin_out_at = False, 2 * start
                    if search.kept > room // 2:
                        return None
                keep_all_but(2 * threads)
            start = stop
            is_due = start >= thin_out_at
        keep_all_but(0)
    search.thin_out()
    return search.ranks()


class _Search:
    """What is known so far. Items are numbered in the random order; `original` gives their places in the gallery."""

    def __init__(self, vectors: Float32, labels: Int64, original: Int64, k: int) -> None:
        self._vectors = vectors
        self._labels = labels
        self._original = original
        self._positives = positives_of(vectors, labels)
        counts = self._positives.counts
        # What comes before the best positive matters up to K, and up to the number of positives for MAP@R.
        self._limit = np.maximum(counts, k)
        self._counted = np.zeros(len(vectors), np.int64)
        self._has = counts > 0
        self._best = np.full(len(vectors), np.inf)
        self._worst = np.full(len(vectors), np.inf)
        begin, end = self._positives.starts[:-1][self._has], self._positives.starts[1:][self._has]
        self._best[self._has] = self._positives.similarities[begin]
        self._worst[self._has] = self._positives.similarities[end - 1]
        # Queries of which nothing but the rank of the best positive is open.
        self._best_only = np.zeros(len(vectors), np.bool_)
        self._pairs: list[Pairs] = []
        self.kept = 0

        # bfloat16 takes half the time of a product, and leaves too much open: of the first thousand rows of the 60,502
        # by 512 numbers of `benchmarks/recall.py` one pair in thirty.
        lengths = norms(torch.from_numpy(vectors)).numpy()
        self._tie = TIE * lengths.max() * lengths
        # How far the products may be off, the float32 to which bounds are rounded, and what counts as tied.
        most = lengths.max() ** 2
        self._width = float(
            float32_error(most, vectors.shape[1]) + 2.1 * FLOAT32_BOUNDARY * most + 4 * self._tie.max()
        )
        self.threshold = _below(self._worst - 2 * self._width)

    def scan(
        self,
        rows: tuple[int, int],
        columns: tuple[int, int],
        threshold: Float32,
        outputs: SimpleQueue[Float32],
    ) -> list[Pairs]:
        """Negatives among the pairs of these items with those of later numbers, for the item to which they matter.

        rows, columns: begin and end of either. threshold: float32[n], of now or of before. outputs: places for the
        products, one of which is lent.
        """
        # Those to which most matters first: rows that are scanned together are then alike.
        queries = rows[0] + np.argsort(threshold[slice(*rows)])
        others = self._vectors[slice(*columns)]
        output = outputs.get()
        try:
            similarities = output[: len(queries) * len(others)].reshape(len(queries), len(others))
            np.matmul(self._vectors[queries], others.T, out=similarities)
            return self._matter(queries, columns, threshold, similarities)
        finally:
            outputs.put(output)

    def _matter(
        self, rows: Int64, columns: tuple[int, int], threshold: Float32, similarities: Float32
    ) -> list[Pairs]:
        found = [
            _similar_enough(rows[part], columns, threshold, similarities[part])
            for part in (slice(top, top + ROWS_TOGETHER) for top in range(0, len(rows), ROWS_TOGETHER))
        ]
        queries, others, similar = (np.concatenate(parts) for parts in zip(*found, strict=True))
        negative = (others > queries) & (self._labels[queries] != self._labels[others])
        pairs: list[Pairs] = []
        for whose, items in ((queries, others), (others, queries)):
            wanted = np.flatnonzero(negative & (similar > threshold[whose]))
            pairs.append((whose[wanted], items[wanted], similar[wanted]))
        return pairs

    def keep(self, pairs: list[Pairs]) -> None:
        """Take in what `scan` found."""
        self._pairs += pairs
        self.kept += sum(len(queries) for queries, _, _ in pairs)

    def _joined(self) -> Pairs:
        queries, items, similarities = zip(*self._pairs, strict=True)
        return np.concatenate(queries), np.concatenate(items), np.concatenate(similarities)

    def thin_out(self) -> None:
        """Count and drop what certainly comes before a best positive that is out of the race for MAP@R, drop what can
        matter no longer, and raise the thresholds.
        """
        queries, items, similarities = self._joined()
        above = similarities > self._best[queries] + self._width
        settled = above & self._best_only[queries]
        self._counted += np.bincount(queries[settled], minlength=len(self._counted))
        queries, items, similarities = queries[~settled], items[~settled], similarities[~settled]
        order, starts = self._sorted(queries, similarities)
        above = similarities > self._best[queries] + self._width
        before_best = self._counted + np.bincount(queries[above], minlength=len(self._counted))

        counts = self._positives.counts
        newly = (before_best >= counts) & ~self._best_only & self._has
        self._best_only |= newly
        settled = above & newly[queries]
        self._counted += np.bincount(queries[settled], minlength=len(self._counted))
        # So many negatives are at least this similar, so whatever is less comes after all that matters.
        enough = np.flatnonzero((np.diff(starts) >= counts) & self._has)
        least = self._worst - 2 * self._width
        at = order[starts[enough] + counts[enough] - 1]
        least[enough] = np.maximum(least[enough], similarities[at].astype(np.float64) - 3 * self._width)
        close = self._best - 2 * self._width
        threshold = np.where(self._best_only, close, np.minimum(close, least))
        threshold[self._counted >= self._limit] = np.inf
        self.threshold = np.maximum(self.threshold, _below(threshold))

        left = ~settled & (similarities > self.threshold[queries])
        self._pairs = [(queries[left], items[left], similarities[left])]
        self.kept = int(left.sum())

    def _sorted(self, queries: Int64, similarities: Float32) -> tuple[Int64, Int64]:
        """The order of pairs by query and then by falling similarity, and where each query's begin."""
        # One number for both: the whole part is the query.
        least, greatest = (
            (float(similarities.min()), float(similarities.max())) if len(similarities) else (0, 0)
        )
        span = 1.001 * (greatest - least) + 1e-30
        order = np.argsort(queries + (greatest - similarities.astype(np.float64)) / span)
        ends = np.cumsum(np.bincount(queries, minlength=len(self._counted)))
        return order, np.concatenate([[0], ends])

    def ranks(self) -> Ranks:
        """Of every query that has a positive, exact."""
        queries, items, similarities = self._joined()
        order, starts = self._sorted(queries, similarities)
        queries, items, similarities = queries[order], items[order], similarities[order]
        positives = self._positives
        above = self._count_above(positives.similarities + self._width, similarities, starts)
        reach = self._count_above(positives.similarities - self._width, similarities, starts)
        before = self._counted[positives.queries] + above

        best = positives.similarities >= (self._best - 2 * self._tie)[positives.queries]
        limits = np.where(best, self._limit[positives.queries], positives.counts[positives.queries])
        matters = best | ~self._best_only[positives.queries]
        opened = np.flatnonzero((reach > above) & (before < limits) & matters)
        first = starts[positives.queries[opened]] + above[opened]
        widths = (reach - above)[opened]
        for start, stop in _portions(widths, 64 * PAIRS_AT_A_TIME):
            part = opened[start:stop]
            pairs = _ranges(first[start:stop], widths[start:stop])
            whose = np.repeat(part, widths[start:stop])
            exact = self._exact(queries[pairs], items[pairs])
            than, tie = positives.similarities[whose], self._tie[positives.queries[whose]]
            earlier = self._original[items[pairs]] < self._original[positives.items[whose]]
            comes_first = (exact > than + tie) | ((exact >= than - tie) & earlier)
            before += np.bincount(whose[comes_first], minlength=len(before))

        # What was not kept counts for nothing, but no positive comes before the best one.
        has = np.flatnonzero(self._has)
        begins = positives.starts[:-1][has]
        least = np.minimum.reduceat(np.where(best, before, np.iinfo(np.int64).max), begins)
        before = np.maximum(before, least.repeat(positives.counts[has]))
        before = before[np.lexsort((before, positives.queries))]
        return Ranks(self._original[has], positives.counts[has], before)

    def _count_above(self, bounds: Float64, similarities: Float32, starts: Int64) -> Int64:
        """For each positive, the pairs of its query that are more similar than its bound."""
        low, high = starts[self._positives.queries], starts[self._positives.queries + 1]
        begin = low.copy()
        # All positives at once: halve what is left of each one's range until nothing is.
        while (low < high).any():
            middle = (low + high) // 2
            inside = np.minimum(middle, max(len(similarities) - 1, 0))
            more = (low < high) & (similarities[inside] > bounds)
            high = np.where((low < high) & ~more, middle, high)
            low = np.where(more, middle + 1, low)
        return low - begin

    def _exact(self, queries: Int64, items: Int64) -> Float64:
        exact = np.empty(len(queries))
        for start in range(0, len(queries), PAIRS_AT_A_TIME):
            part = slice(start, start + PAIRS_AT_A_TIME)
            exact[part] = np.einsum(
                "ij,ij->i", self._vectors[queries[part]], self._vectors[items[part]], dtype=np.float64
            )
        return exact


def _similar_enough(
    rows: Int64, columns: tuple[int, int], threshold: Float32, similarities: Float32
) -> Pairs:
    """All pairs above the threshold of either item, of these few rows, with those before the diagonal."""
    own, others = threshold[rows], threshold[slice(*columns)]
    # Most columns have nothing in any of the rows; a maximum over rows costs least.
    candidates = np.flatnonzero(similarities.max(axis=0) > np.minimum(others, own[0]))
    some = similarities.take(candidates, axis=1)
    found = np.flatnonzero(some > np.minimum(others[candidates], own[:, None]))
    row, column = np.divmod(found, max(len(candidates), 1))
    return rows[row], columns[0] + candidates[column], some.ravel()[found]


def _below(thresholds: Float64) -> Float32:
    """In float32, and not above."""
    return np.nextafter(thresholds.astype(np.float32), np.float32(-np.inf))


def _ranges(starts: Int64, widths: Int64) -> Int64:
    """All numbers of start to start + width - 1, one range behind the other."""
    begins = np.cumsum(widths) - widths
    ranges: Int64 = np.arange(int(widths.sum())) + np.repeat(starts - begins, widths)
    return ranges


def _portions(widths: Int64, most: int) -> list[tuple[int, int]]:
    """Cut a list so that the widths of each part come to `most` or little more."""
    cuts = np.flatnonzero(np.diff(np.cumsum(widths) // most, prepend=0)) + 1
    edges = [0, *(cut for cut in cuts.tolist() if cut < len(widths)), len(widths)]
    return [(a, b) for a, b in pairwise(edges) if b > a]
