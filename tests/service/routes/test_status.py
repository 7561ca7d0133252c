"""GET /v1/model, /v1/stats, /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Callable

from fastapi.testclient import TestClient

from retrieval.gallery import Gallery

Put = Callable[..., None]


def test_the_model_is_described_without_its_recipe(client: TestClient, gallery: Gallery) -> None:
    assert client.get("/v1/model").json() == {
        "fingerprint": gallery.embedder.fingerprint,
        "backbone": "colours",
        "heads": 1,
        "embedding_size": 4,
        "pixels": 16,
        "mirror": False,
        "pretraining": "none",
        "engine": "mean colours (float32)",
        "query_model": None,
    }


def test_stats_follow_the_writes(client: TestClient, put: Put, gallery: Gallery) -> None:
    put("a", "red", label="x")
    put("b", "blue", label="x")
    put("b", "green", label="y")
    client.delete("/v1/items/a")
    stats = client.get("/v1/stats").json()
    assert (stats["items"], stats["labels"], stats["sequence"]) == (1, 1, 4)
    assert stats["model"] == gallery.embedder.fingerprint
    assert stats["embedding_size"] == 4
    assert stats["bytes_on_disk"] > 0
    assert str(gallery.folder) not in client.get("/v1/stats").text


def test_a_loaded_service_is_up_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
