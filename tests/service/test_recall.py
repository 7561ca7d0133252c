"""GET /v1/recall."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest
from fastapi.testclient import TestClient

import retrieval.recall
from retrieval.gallery import Gallery

Put = Callable[..., None]


def naive_recall(vectors: np.ndarray, labels: list[str], k: int) -> tuple[float, int]:
    """Recall@K by its definition, and the queries that have no positive."""
    hits, without = [], 0
    for query, label in enumerate(labels):
        others = [other for other in range(len(labels)) if other != query]
        if label not in [labels[other] for other in others]:
            without += 1
            continue
        others.sort(key=lambda other: -float(vectors[query] @ vectors[other]))
        hits.append(label in [labels[other] for other in others[:k]])
    return sum(hits) / len(hits), without


def test_recall_of_the_labelled_items(client: TestClient, put: Put, gallery: Gallery) -> None:
    rng = np.random.default_rng(5)
    for number in range(24):
        r, g, b = (int(value) for value in rng.integers(0, 256, 3))
        put(f"item {number:02}", (r, g, b), label=f"label {number % 5}")
    put("alone", (9, 90, 200), label="alone")
    put("unlabelled", (90, 9, 200))
    vectors, labels, sequence = gallery.collection.labelled()
    answer = client.get("/v1/recall", params={"k": "4,1,2,1"}).json()
    for k in (1, 2, 4):
        expected, without = naive_recall(vectors, labels, k)
        assert answer["recall"][str(k)] == pytest.approx(expected)
        assert answer["queries_without_positive"] == without == 1
    assert list(answer["recall"]) == ["1", "2", "4"]
    assert answer["queries"] == 25
    assert 0 < answer["map_at_r"] <= answer["r_precision"] < 1
    assert answer["sequence"] == sequence == 26
    assert datetime.fromisoformat(answer["computed_at"]).tzinfo is not None
    assert all(0 <= value <= 1 for value in answer["index_recall"].values())
    # With every other item among the hits, each query that has a positive finds it.
    assert client.get("/v1/recall", params={"k": "25,50"}).json()["recall"] == {"25": 1.0, "50": 1.0}


def test_a_write_makes_the_kept_answer_stale(
    client: TestClient, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    leave_one_out = retrieval.recall.leave_one_out

    def counted(*args: object, **kwargs: object) -> object:
        computed.append(args)
        return leave_one_out(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they come

    monkeypatch.setattr(retrieval.recall, "leave_one_out", counted)
    put("a", "red", label="x")
    put("b", "orange", label="x")
    put("c", "blue", label="y")
    first = client.get("/v1/recall").json()
    assert client.get("/v1/recall").json() == first
    assert len(computed) == 1
    assert first["recall"]["1"] == 1.0
    client.get("/v1/recall", params={"k": "3"})
    assert len(computed) == 2
    put("d", "green", label="y")
    second = client.get("/v1/recall").json()
    assert len(computed) == 3
    assert second["sequence"] == first["sequence"] + 1
    assert second["queries"] == 4


def test_without_two_of_a_label_there_is_nothing_to_measure(client: TestClient, put: Put) -> None:
    empty = client.get("/v1/recall", params={"k": "1,8"}).json()
    assert (empty["recall"], empty["map_at_r"], empty["queries"]) == ({"1": None, "8": None}, None, 0)
    put("a", "red", label="x")
    put("b", "blue", label="y")
    put("c", "green")
    apart = client.get("/v1/recall").json()
    assert (apart["recall"]["1"], apart["queries"], apart["queries_without_positive"]) == (None, 2, 2)


@pytest.mark.parametrize(
    "k", ["", "0", "-1", "1,", "1,x", "1.5", "51", "1;2", "9" * 400, ",".join("1" * 17), "²"]
)
def test_wrong_ks_are_refused(client: TestClient, k: str) -> None:
    answer = client.get("/v1/recall", params={"k": k})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("k ")
    assert len(answer.content) < 500
