"""GET /v1/recall."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import retrieval.recall
from indexes.errors import StorageError
from indexes.local_collection import LocalCollection
from retrieval.gallery import Gallery
from service.live_recall import LiveRecall
from service.problems import ProblemError

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


def until_fresh(client: TestClient) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while (answer := client.get("/v1/recall").json())["stale"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return dict(answer)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors each computation had."""
    counts: list[int] = []
    leave_one_out = retrieval.recall.leave_one_out

    def counted(vectors: np.ndarray, *args: object, **kwargs: object) -> object:
        counts.append(len(vectors))
        return leave_one_out(vectors, *args, **kwargs)  # type: ignore[arg-type]  # passed through as they come

    monkeypatch.setattr(retrieval.recall, "leave_one_out", counted)
    return counts


def test_one_computation_serves_every_k_until_the_next_write(
    client: TestClient, put: Put, computed: list[int]
) -> None:
    put("a", "red", label="x")
    put("b", "orange", label="x")
    put("c", "blue", label="y")
    first = client.get("/v1/recall").json()
    assert not first["stale"]
    again = client.get("/v1/recall", params={"k": "3,50"}).json()
    assert again["computed_at"] == first["computed_at"]
    assert again["age_seconds"] >= first["age_seconds"] >= 0
    assert again["recall"] == {"3": 1.0, "50": 1.0}
    assert computed == [3]
    put("d", "green", label="y")
    second = until_fresh(client)
    assert computed == [3, 4]
    assert (second["sequence"], second["queries"]) == (4, 4)


def test_the_last_answer_is_given_with_its_age_while_a_new_one_is_computed(
    client: TestClient, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a", "red", label="x")
    put("b", "orange", label="x")
    first = client.get("/v1/recall").json()
    begun, go_on = threading.Event(), threading.Event()
    leave_one_out = retrieval.recall.leave_one_out

    def slow(*args: object, **kwargs: object) -> object:
        begun.set()
        assert go_on.wait(20)
        return leave_one_out(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they come

    monkeypatch.setattr(retrieval.recall, "leave_one_out", slow)
    put("c", "blue", label="y")
    time.sleep(0.3)
    for _ in range(3):  # never waits for what is being computed
        answer = client.get("/v1/recall").json()
        assert answer["stale"]
        assert (answer["sequence"], answer["queries"]) == (2, 2)
        assert answer["age_seconds"] >= 0.3
        assert answer["computed_at"] == first["computed_at"]
    assert begun.wait(10)
    go_on.set()
    assert until_fresh(client)["sequence"] == 3


def test_before_there_is_any_a_long_computation_is_told(
    client: TestClient, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    leave_one_out = retrieval.recall.leave_one_out

    def slow(*args: object, **kwargs: object) -> object:
        assert go_on.wait(20)
        return leave_one_out(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they come

    monkeypatch.setattr(retrieval.recall, "leave_one_out", slow)
    monkeypatch.setattr("service.live_recall.FIRST_SECONDS", 0.05)
    put("a", "red", label="x")
    put("b", "orange", label="x")
    answer = client.get("/v1/recall")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:hdhe:problem:recall-pending")
    assert int(answer.headers["retry-after"]) > 0
    go_on.set()
    deadline = time.monotonic() + 10
    while client.get("/v1/recall").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_rests_between_computations(client: TestClient, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.live_recall.REST", 1e6)
    put("a", "red", label="x")
    put("b", "orange", label="x")
    assert client.get("/v1/recall").json()["sequence"] == 2
    put("c", "blue", label="y")
    for _ in range(5):
        assert client.get("/v1/recall").json()["stale"]
        time.sleep(0.02)


def test_a_failure_is_logged_and_the_last_answer_stays(
    client: TestClient, put: Put, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put("a", "red", label="x")
    put("b", "orange", label="x")
    client.get("/v1/recall")

    def fail(*_: object, **__: object) -> None:
        raise StorageError("/secret/collection.sqlite: it is damaged")

    monkeypatch.setattr(retrieval.recall, "leave_one_out", fail)
    put("c", "blue", label="y")
    deadline = time.monotonic() + 10
    while "the recall could not be computed" not in caplog.text:
        answer = client.get("/v1/recall")
        assert answer.status_code == 200
        assert answer.json()["sequence"] == 2
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_closing_does_not_wait_for_a_computation() -> None:
    """Many queries, of which each takes its time; closing gives up after the one it is at."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((8000, 64)).astype(np.float32)
    labels = [str(number % 400) for number in range(8000)]
    begun = threading.Event()

    class Slow(LocalCollection):
        def __init__(self) -> None:
            pass

        def labelled(self) -> tuple[np.ndarray, list[str], int]:
            begun.set()
            return vectors, labels, 1

    async def ask_and_close() -> float:
        recall = LiveRecall(Slow(), most=1000)
        asking = asyncio.create_task(recall.report(sequence=1))
        await asyncio.to_thread(begun.wait, 10)
        started = time.monotonic()
        await asyncio.to_thread(recall.close)
        closed = time.monotonic() - started
        with pytest.raises(ProblemError):
            await asking
        assert recall.latest is None
        return closed

    started = time.monotonic()
    retrieval.recall.leave_one_out(vectors, np.array(labels, dtype=np.int64), [1])
    whole = time.monotonic() - started
    assert asyncio.run(ask_and_close()) < max(0.5 * whole, 0.5)


def test_without_two_of_a_label_there_is_nothing_to_measure(client: TestClient, put: Put) -> None:
    empty = client.get("/v1/recall", params={"k": "1,8"}).json()
    assert (empty["recall"], empty["map_at_r"], empty["queries"]) == ({"1": None, "8": None}, None, 0)
    put("a", "red", label="x")
    put("b", "blue", label="y")
    put("c", "green")
    apart = until_fresh(client)
    assert (apart["recall"]["1"], apart["queries"], apart["queries_without_positive"]) == (None, 2, 2)


@pytest.mark.parametrize(
    "k", ["", "0", "-1", "1,", "1,x", "1.5", "51", "1;2", "9" * 400, ",".join("1" * 17), "²"]
)
def test_wrong_ks_are_refused(client: TestClient, k: str) -> None:
    answer = client.get("/v1/recall", params={"k": k})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("k ")
    assert len(answer.content) < 500
