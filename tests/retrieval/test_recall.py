"""The scores against a naive float64 stable sort, against pytorch-metric-learning, and in cases known by hand."""

from dataclasses import asdict
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from retrieval import mutual_ranking, ranking
from retrieval.errors import UserError
from retrieval.recall import LEAVE_ONE_OUT, RecallReport, leave_one_out, recall_at_k

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


def naive(
    query: Float32, query_labels: Int64, gallery: Float32, labels: Int64, own: Int64, ks: tuple[int, ...]
) -> dict[str, Any]:
    hits = dict.fromkeys(ks, 0)
    average_precisions, precisions, without = [], [], 0
    for i in range(len(query)):
        similarities = np.array([np.dot(query[i].astype(np.float64), g.astype(np.float64)) for g in gallery])
        order = [j for j in np.argsort(-similarities, kind="stable") if j != own[i]]
        relevant = [bool(labels[j] == query_labels[i]) for j in order]
        count = sum(relevant)
        if count == 0:
            without += 1
            continue
        for k in ks:
            hits[k] += any(relevant[:k])
        precisions.append(sum(relevant[:count]) / count)
        average_precisions.append(
            sum(sum(relevant[: r + 1]) / (r + 1) for r in range(count) if relevant[r]) / count
        )
    return {
        "queries": len(query),
        "queries_without_positive": without,
        "hits": hits,
        "map_at_r": float(np.mean(average_precisions)) if average_precisions else None,
        "r_precision": float(np.mean(precisions)) if precisions else None,
    }


def assert_same(report: RecallReport, truth: dict[str, Any]) -> None:
    assert report.hits == truth["hits"]
    assert report.queries == truth["queries"]
    assert report.queries_without_positive == truth["queries_without_positive"]
    assert report.map_at_r == pytest.approx(truth["map_at_r"], abs=1e-12)
    assert report.r_precision == pytest.approx(truth["r_precision"], abs=1e-12)
    scored = truth["queries"] - truth["queries_without_positive"]
    assert report.recall == {k: hits / scored for k, hits in truth["hits"].items()}


def clustered(count: int, classes: int, size: int, noise: float, seed: int) -> tuple[Float32, Int64]:
    """Rows in a narrow cone, as features behind a ReLU are."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    rows = np.abs(rng.standard_normal((classes, size))[labels] + noise * rng.standard_normal((count, size)))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.fixture(params=[torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    dtype = cast(torch.dtype, request.param)
    monkeypatch.setattr(ranking, "fast_dtype", lambda: dtype)
    return dtype


@pytest.mark.parametrize(
    ("count", "classes", "size", "noise"),
    [(400, 90, 32, 1.5), (400, 3, 8, 3.0), (300, 200, 16, 0.3), (300, 60, 3, 10.0)],
)
def test_matches_a_naive_sort(fast: torch.dtype, count: int, classes: int, size: int, noise: float) -> None:
    rows, labels = clustered(count, classes, size, noise, seed=count + classes)
    ks = (1, 2, 7, 50, count - 1)
    report = leave_one_out(rows, labels, ks)
    assert_same(report, naive(rows, labels, rows, labels, np.arange(count), ks))
    assert report.protocol == LEAVE_ONE_OUT


@st.composite
def problems(draw: st.DrawFn) -> tuple[Float32, Int64, Float32, Int64, Int64]:
    """Small integers for coordinates: every similarity is exact in float64 and ties are common."""
    size = draw(st.integers(1, 4))
    count = draw(st.integers(2, 14))
    rows = draw(
        st.lists(st.lists(st.integers(-2, 2), min_size=size, max_size=size), min_size=count, max_size=count)
    )
    labels = np.array(draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)), np.int64)
    vectors = np.array(rows, np.float32)
    is_query = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    is_gallery = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    is_query[0] = is_gallery[0] = is_gallery[1] = True
    query, gallery = np.flatnonzero(is_query), np.flatnonzero(is_gallery)
    own = np.array([int(np.searchsorted(gallery, q)) if is_gallery[q] else -1 for q in query], np.int64)
    return vectors[query], labels[query], vectors[gallery], labels[gallery], own


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("pairs_share", [1, 10**9], ids=["pairs", "rows"])
@given(problem=problems(), is_alone=st.booleans(), chunk_bytes=st.sampled_from([1, 500, 10**6]))
def test_ties_and_overlaps_match_a_naive_sort(
    dtype: torch.dtype,
    pairs_share: int,
    problem: tuple[Float32, Int64, Float32, Int64, Int64],
    is_alone: bool,
    chunk_bytes: int,
) -> None:
    query, query_labels, gallery, labels, own = problem
    if is_alone:
        query, query_labels, own = gallery, labels, np.arange(len(gallery))
    ks = tuple(range(1, len(gallery)))
    truth = naive(query, query_labels, gallery, labels, own, ks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "fast_dtype", lambda: dtype)
        patch.setattr(ranking, "PAIRS_SHARE", pairs_share)
        # Blocks of 1, 1, 2, 4, ... rows in tiles of a few columns, with what is kept thinned out after each.
        patch.setattr(mutual_ranking, "FEWEST_ROWS", 1)
        patch.setattr(mutual_ranking, "TILE", (4, 5))
        patch.setattr(mutual_ranking, "ROWS_TOGETHER", 3)
        patch.setattr(mutual_ranking, "PAIRS_AT_A_TIME", 3)
        if truth["map_at_r"] is None:
            with pytest.raises(UserError, match="nothing to find"):
                recall_at_k(query, query_labels, gallery, labels, ks, self_index=own)
            return
        report = recall_at_k(
            query, query_labels, gallery, labels, ks, self_index=own, chunk_bytes=chunk_bytes
        )
    assert_same(report, truth)


@pytest.mark.parametrize(("classes", "noise"), [(900, 0.7), (900, 3.0), (30, 2.0)])
def test_each_other_is_ranked_as_any_gallery_is(fast: torch.dtype, classes: int, noise: float) -> None:
    rows, labels = clustered(3000, classes, 24, noise, seed=classes)
    mutual = mutual_ranking.rank_each_other(rows, labels, k=100, chunk_bytes=2**28)
    assert mutual is not None
    befores = np.split(mutual.before, np.cumsum(mutual.counts)[:-1])
    found = dict(zip(mutual.queries.tolist(), befores, strict=True))
    own = np.arange(len(rows))
    rest = 0
    for ranked in ranking.rank_positives(rows, labels, rows, labels, own, k=100, chunk_bytes=2**28):
        # Counts that can matter no longer may be cut off.
        limits = np.full(len(ranked.before), len(ranked.before))
        limits[0] = max(limits[0], 100)
        assert np.array_equal(np.minimum(found.pop(ranked.query), limits), np.minimum(ranked.before, limits))
        rest += int((ranked.before < limits).sum())
    assert not found
    assert rest > 200


def test_too_much_to_keep_is_given_up() -> None:
    rows, labels = clustered(3000, 900, 24, 1.0, seed=1)
    assert mutual_ranking.rank_each_other(rows, labels, k=1, chunk_bytes=10**5) is None
    # All are tied with all: nothing can be left out.
    same = np.ones_like(rows)
    assert mutual_ranking.rank_each_other(same, labels, k=1, chunk_bytes=2**25) is None


def test_the_threads_of_products_are_as_many_as_before() -> None:
    rows, labels = clustered(600, 180, 24, 1.0, seed=1)
    before = threadpool_info()
    leave_one_out(rows, labels, (1,))
    assert threadpool_info() == before


def test_it_can_be_given_up_half_way() -> None:
    rows, labels = clustered(3000, 900, 24, 1.0, seed=1)
    calls = 0

    def go_on() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        leave_one_out(rows, labels, (1,), go_on=go_on)
    assert calls == 3


def test_the_chunk_size_changes_nothing(fast: torch.dtype) -> None:
    rows, labels = clustered(200, 40, 16, 1.0, seed=5)
    reports = [asdict(leave_one_out(rows, labels, (1, 10), chunk_bytes=size)) for size in (1, 20_000, 2**28)]
    for report in reports:
        del report["seconds"]
    assert reports[0] == reports[1] == reports[2]


def test_differences_below_float32_are_seen(fast: torch.dtype) -> None:
    # Against the query (1, 0) the negative is more similar by 2^-24, which no float32 sum with the third column shows.
    step = np.float32(2**-12)
    gallery = np.array([[1, step, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    query = np.array([[1, step, 0]], np.float32)
    for labels, hits in (([1, 0, 1], 1), ([0, 1, 1], 0)):
        report = recall_at_k(query, np.array([1]), gallery, np.array(labels), (1,), self_index=None)
        assert report.hits == {1: hits}


def test_a_collapsed_embedding_does_not_score(fast: torch.dtype) -> None:
    rows = np.full((60, 8), 8**-0.5, np.float32)
    report = leave_one_out(rows, np.repeat(np.arange(20), 3), (1,))
    # All are tied, so the first item of the gallery, or the second for the first query, is everybody's nearest.
    assert report.hits == {1: 3}
    assert report.map_at_r < 0.06


def test_ties_go_by_gallery_position(fast: torch.dtype) -> None:
    query, gallery = np.array([[1, 0]], np.float32), np.array([[0.5, 0], [0.5, 1]], np.float32)
    for labels, hits in (([1, 0], 1), ([0, 1], 0)):
        report = recall_at_k(query, np.array([1]), gallery, np.array(labels), (1, 2), self_index=None)
        assert report.hits == {1: hits, 2: 1}


def test_a_query_is_left_out_by_identity_and_not_by_similarity() -> None:
    # Every item has an exact copy of another class: taking out "the most similar" would take out either.
    rows = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    report = leave_one_out(rows, np.array([0, 1, 0, 1, 0, 1]), (1, 2, 3, 5))
    assert report.hits[1] == 0
    assert report.hits[5] == 6


def test_one_hot_class_features_score_one() -> None:
    labels = np.repeat(np.arange(5), 4)
    report = leave_one_out(np.eye(5, dtype=np.float32)[labels], labels, (1,))
    assert (report.recall[1], report.map_at_r, report.r_precision, report.precision_at_1) == (1, 1, 1, 1)


def test_queries_without_a_positive_are_counted_and_left_out_of_the_mean() -> None:
    rows = np.array([[1, 0], [1, 0.01], [0, 1]], np.float32)
    report = leave_one_out(rows, np.array([7, 7, 9]), (1,))
    assert (report.queries, report.queries_without_positive, report.recall) == (3, 1, {1: 1.0})


def test_map_at_r_by_hand() -> None:
    # Nearest first: negative, positive, negative, positive. R = 2, so only rank 2 counts: (1/2) / 2.
    gallery = np.array([[0.9], [0.8], [0.7], [0.6]], np.float32)
    report = recall_at_k(
        np.ones((1, 1), np.float32), np.array([1]), gallery, np.array([0, 1, 0, 1]), (1, 2), self_index=None
    )
    assert (report.map_at_r, report.r_precision, report.recall) == (0.25, 0.5, {1: 0.0, 2: 1.0})


@pytest.mark.parametrize("classes", [4, 60])
def test_agrees_with_pytorch_metric_learning(classes: int) -> None:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    rows, labels = clustered(500, classes, 32, 2.0, seed=classes)
    report = leave_one_out(rows, labels, (1,))
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    )
    theirs = calculator.get_accuracy(torch.from_numpy(rows), torch.from_numpy(labels))
    assert report.precision_at_1 == pytest.approx(theirs["precision_at_1"], abs=1e-6)
    assert report.r_precision == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert report.map_at_r == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)


@pytest.mark.parametrize(
    ("ks", "message"), [((1, 3), "k 3 is larger than the gallery"), ((0,), "1 or more"), ((), "one number")]
)
def test_refuses_a_k_that_makes_no_sense(ks: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        leave_one_out(np.eye(3, dtype=np.float32), np.zeros(3, np.int64), ks)


def test_refuses_arrays_that_do_not_fit() -> None:
    rows, labels = np.eye(3, dtype=np.float32), np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="float32"):
        leave_one_out(cast(Float32, rows.astype(np.float64)), labels, (1,))
    with pytest.raises(ValueError, match="labels of shape"):
        leave_one_out(rows, labels[:2], (1,))
    with pytest.raises(ValueError, match="not finite"):
        leave_one_out(np.full_like(rows, np.nan), labels, (1,))
    with pytest.raises(ValueError, match="another label"):
        recall_at_k(rows, labels + 1, rows, labels, (1,), self_index=np.arange(3))
