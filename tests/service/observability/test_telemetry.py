"""GET /metrics, read with Prometheus' own parser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from indexes.errors import StorageError
from retrieval.gallery import Gallery
from service.app import create_app
from service.observability.stages import STAGES
from service.problems import OverloadedError

Picture = Callable[..., bytes]
Put = Callable[..., None]


def scraped(client: TestClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The value of each sample, by its name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(answer.text)
        for sample in family.samples
    }


def value(client: TestClient, name: str, **labels: str) -> float | None:
    return scraped(client).get((name, frozenset(labels.items())))


def test_requests_are_counted_by_their_route_and_not_by_their_path(
    client: TestClient, picture: Picture
) -> None:
    for id in ("a", "b/c", "d%2Fimage"):
        client.put(f"/v1/items/{id}", files={"image": picture("red")})
    client.get("/v1/items/a/image")
    for number in range(5):
        client.get(f"/nothing/{number}")
    client.get("/web/style.css")
    client.request("BREW", "/v1/stats")
    labels = {"method": "PUT", "route": "/v1/items/{id}"}
    assert value(client, "hdhe_requests_total", **labels, status="201") == 3
    assert value(client, "hdhe_request_seconds_count", **labels) == 3
    assert value(client, "hdhe_requests_total", method="GET", route="/v1/items/{id}/image", status="200") == 1
    assert value(client, "hdhe_requests_total", method="GET", route="none", status="404") == 5
    assert value(client, "hdhe_requests_total", method="GET", route="/web/", status="200") == 1
    assert value(client, "hdhe_requests_total", method="other", route="none", status="405") == 1
    assert value(client, "hdhe_requests_in_flight") == 1  # the scrape itself


def test_each_stage_has_a_histogram(client: TestClient, picture: Picture) -> None:
    image = {"image": picture("red")}
    client.put("/v1/items/a", files=image)
    for _ in range(3):
        client.post("/v1/search", files=image)
    client.post("/v1/embeddings", files=[("image", picture("blue"))] * 4)
    counts = {stage: value(client, "hdhe_stage_seconds_count", stage=stage) for stage in STAGES}
    assert counts["search"] == 3
    assert counts["decode"] == counts["wait"] == 1 + 3 + 4
    assert counts["embed"] == 5  # four images went through the network together
    assert counts["respond"] == 5


def test_the_collection_and_its_recall(client: TestClient, put: Put) -> None:
    for number, colour in enumerate(("red", "#fe0000", "blue", "#0000fe")):
        put(str(number), colour, label="red" if number < 2 else "blue")
    assert value(client, "hdhe_recall", k="1") is None
    client.get("/v1/recall?k=1,2")
    samples = scraped(client)
    told = {name: amount for (name, labels), amount in samples.items() if not labels}
    assert (told["hdhe_items"], told["hdhe_labels"], told["hdhe_sequence"]) == (4, 2, 4)
    assert (told["hdhe_ready"], told["hdhe_images_waiting"]) == (1, 0)
    assert told["hdhe_collection_bytes"] > 0
    assert told["hdhe_recall_age_seconds"] >= 0
    assert samples["hdhe_recall", frozenset({("k", "1")})] == 1
    assert samples["hdhe_index", frozenset({("kind", "flat"), ("on_gpu", "false")})] == 1
    assert told["process_resident_memory_bytes"] > 1e6


def test_it_answers_before_the_collection_is_loaded() -> None:
    def never(_: Path) -> Gallery:
        raise OSError("not yet")

    with TestClient(create_app(never, on_failure=lambda _: None)) as client:
        assert value(client, "hdhe_ready") == 0


@pytest.mark.parametrize(("error", "status"), [(OverloadedError(), 503), (StorageError("I/O error"), 507)])
def test_an_overload_and_a_broken_disk_are_seen(
    client: TestClient, put: Put, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    put("one", "red")
    assert value(client, "hdhe_items") == 1

    async def refused(*_: Any, **__: Any) -> Any:
        raise error

    backend = client.app.state.backend  # type: ignore[attr-defined]  # the client says ASGI, it is ours
    monkeypatch.setattr(backend, "read", refused)
    monkeypatch.setattr(type(backend), "waiting", property(lambda _: 64))
    assert client.get("/v1/stats").status_code == status
    counted = {"method": "GET", "route": "/v1/stats", "status": str(status)}
    assert value(client, "hdhe_requests_total", **counted) == 1
    assert value(client, "hdhe_images_waiting") == 64
    assert value(client, "hdhe_items") == 1


def test_two_services_in_a_process_do_not_mix(gallery: Gallery) -> None:
    with TestClient(create_app(gallery)) as one, TestClient(create_app(gallery)) as other:
        one.get("/v1/stats")
        labels = {"method": "GET", "route": "/v1/stats", "status": "200"}
        assert value(one, "hdhe_requests_total", **labels) == 1
        assert value(other, "hdhe_requests_total", **labels) is None


def test_openmetrics_for_who_accepts_it(client: TestClient) -> None:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    answer = client.get("/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    # The parser has no types.
    families: Any = openmetrics.text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    assert "hdhe_requests" in {family.name for family in families}
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_the_reference_lists_every_metric(gallery: Gallery) -> None:
    with TestClient(create_app(gallery)) as client:
        families: Any = parse_text(client.get("/metrics").text)
        ours = {family.name for family in families if family.name.startswith("hdhe_")}
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    listed = set(re.findall(r"^\| `(hdhe_\w+)`", page, re.MULTILINE))
    assert {name.removesuffix("_total") for name in listed} == {
        name.removesuffix("_total") for name in ours if not name.endswith("_created")
    }
