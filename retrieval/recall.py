"""Recall@K, MAP@R, R-precision and precision@1: exact, for any K in one pass, in bounded memory.

With R the number of a query's positives (gallery items of its class but itself):

* Recall@K: the share of queries with a positive among their K nearest gallery items.
* precision@1: Recall@1.
* R-precision: the share of positives among the R nearest, averaged over queries.
* MAP@R: the precision at the rank of each positive among the R nearest, summed, over R (Musgrave et al. 2020, "A
  Metric Learning Reality Check", section 3.2), averaged over queries.

The query itself is left out of its gallery by its position, not by its similarity. Queries with no positive are
counted and take no part in any mean. Similarity is the inner product of the float32 inputs; ties go in the order of
the gallery (see `docs/evaluation.md` for why).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.mutual_ranking import rank_each_other
from retrieval.ranking import Ranked, Ranks, rank_positives

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

LEAVE_ONE_OUT = "leave-one-out"
QUERY_GALLERY = "query/gallery"

CHUNK_BYTES = 256 * 2**20


@dataclass(frozen=True)
class RecallReport:
    """Scores of one pass. All shares lie in 0..1 and are means over the queries that have a positive.

    queries: all of them, those without a positive too. hits: {K: queries with a positive among the K nearest}.
    seconds: wall time of the computation.
    """

    protocol: str
    queries: int
    queries_without_positive: int
    recall: dict[int, float]
    hits: dict[int, int]
    map_at_r: float
    r_precision: float
    precision_at_1: float
    seconds: float


def recall_at_k(
    query: Float32,
    query_labels: Int64,
    gallery: Float32,
    gallery_labels: Int64,
    ks: Iterable[int],
    *,
    self_index: Int64 | None,
    protocol: str = QUERY_GALLERY,
    chunk_bytes: int = CHUNK_BYTES,
    go_on: Callable[[], None] = lambda: None,
) -> RecallReport:
    """Score queries against a gallery.

    query: float32[q, d]; gallery: float32[n, d]; labels: int64[q], int64[n]. Rows are compared as they are: normalise
    them first for the cosine. self_index: int64[q], where the query itself lies in the gallery, or -1; None: nowhere.
    chunk_bytes: bound on the similarities held at a time (about 0.7 MB per 60,000 gallery items at the least).
    go_on: called now and then; what it raises gives up.
    Raises UserError if a K exceeds the gallery or no query has a positive; ValueError for arrays that do not fit.
    """
    started = time.perf_counter()
    own = np.full(len(query), -1, np.int64) if self_index is None else np.asarray(self_index, np.int64)
    query, gallery = np.ascontiguousarray(query), np.ascontiguousarray(gallery)
    _check_arrays(query, query_labels, gallery, gallery_labels, own)
    wanted = check_ks(ks, len(gallery) - bool((own >= 0).any()))

    ranks: Ranks | None = None
    if query is gallery and np.array_equal(own, np.arange(len(gallery))):
        ranks = rank_each_other(gallery, gallery_labels, k=wanted[-1], chunk_bytes=chunk_bytes, go_on=go_on)
    if ranks is None:
        ranked = rank_positives(
            query, query_labels, gallery, gallery_labels, own, k=wanted[-1], chunk_bytes=chunk_bytes
        )
        ranks = Ranks.joined(_each(ranked, go_on))
    positives, before = ranks.counts, ranks.before
    scored = len(positives)
    if scored == 0:
        raise UserError(
            f"none of the {len(query)} queries has another item of its class in the gallery, so there is "
            "nothing to find; give at least one class with two items"
        )
    starts = np.cumsum(positives) - positives
    number = np.arange(len(before)) - np.repeat(starts, positives) + 1
    rank = number + before
    within = rank <= np.repeat(positives, positives)
    precisions = np.add.reduceat(within, starts, dtype=np.int64) / positives
    average_precisions = np.add.reduceat(np.where(within, number / rank, 0.0), starts) / positives
    before_best = before[starts]
    hits = {k: int((before_best < k).sum()) for k in wanted}
    return RecallReport(
        protocol=protocol,
        queries=len(query),
        queries_without_positive=len(query) - scored,
        recall={k: hits[k] / scored for k in wanted},
        hits=hits,
        # fsum: the order in which queries come out must not change the last digit.
        map_at_r=math.fsum(average_precisions) / scored,
        r_precision=math.fsum(precisions) / scored,
        precision_at_1=int((before_best < 1).sum()) / scored,
        seconds=time.perf_counter() - started,
    )


def _each(ranked: Iterable[Ranked], go_on: Callable[[], None]) -> Iterator[Ranked]:
    for one in ranked:
        go_on()
        yield one


def leave_one_out(
    embeddings: Float32,
    labels: Int64,
    ks: Iterable[int],
    *,
    chunk_bytes: int = CHUNK_BYTES,
    go_on: Callable[[], None] = lambda: None,
) -> RecallReport:
    """Score every item as a query against all others. embeddings: float32[n, d]; labels: int64[n].

    The rest is as in `recall_at_k`.
    """
    return recall_at_k(
        embeddings,
        labels,
        embeddings,
        labels,
        ks,
        self_index=np.arange(len(embeddings)),
        protocol=LEAVE_ONE_OUT,
        chunk_bytes=chunk_bytes,
        go_on=go_on,
    )


def check_ks(ks: Iterable[int], available: int) -> tuple[int, ...]:
    """The Ks in ascending order, each once. available: gallery items that a query can find.

    Raises UserError for an empty list, a K below 1 or above `available`.
    """
    wanted = tuple(sorted(set(ks)))
    if not wanted:
        raise UserError("k needs at least one number, for instance 1,2,4,8")
    if wanted[0] < 1:
        raise UserError(f"k must be 1 or more; got {wanted[0]}")
    if wanted[-1] > available:
        raise UserError(
            f"k {wanted[-1]} is larger than the gallery: a query can find at most {available} other items; "
            "choose a smaller k"
        )
    return wanted


def _check_arrays(
    query: Float32, query_labels: Int64, gallery: Float32, gallery_labels: Int64, own: Int64
) -> None:
    for name, vectors, labels in (("query", query, query_labels), ("gallery", gallery, gallery_labels)):
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise ValueError(
                f"{name} must be float32[n, d]; got {vectors.dtype} of {vectors.ndim} dimensions"
            )
        if labels.shape != vectors.shape[:1]:
            raise ValueError(f"{name} has {len(vectors)} rows and labels of shape {labels.shape}")
        # One infinity or NaN makes the sum one too; float64, so that nothing else does.
        if not np.isfinite(vectors.sum(dtype=np.float64)):
            raise ValueError(f"{name} holds a number that is not finite")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"query has {query.shape[1]} columns and gallery {gallery.shape[1]}")
    if own.shape != query_labels.shape or (own >= len(gallery)).any():
        raise ValueError("self_index must hold, for each query, a row of the gallery or -1")
    inside = own >= 0
    if (gallery_labels[own[inside]] != query_labels[inside]).any():
        raise ValueError("self_index points at gallery items of another label than the query's")
