"""The service over a gallery whose items are in Milvus."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from fastapi.testclient import TestClient

from indexes.errors import UnreachableError
from indexes.milvus.connection import Connection
from indexes.milvus_collection import MilvusCollection
from retrieval.embedder import Embedder
from retrieval.gallery import Gallery
from tests.indexes.milvus_lite import needs_milvus_lite
from tests.indexes.milvus_lite import settings as milvus_settings
from tests.service.conftest import FINGERPRINT, ColourEmbedder

pytestmark = needs_milvus_lite

Picture = Callable[..., bytes]


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    collection = MilvusCollection.create(
        milvus_settings(tmp_path / "collection"),
        embedding_size=ColourEmbedder.embedding_size,
        model_fingerprint=FINGERPRINT,
    )
    with Gallery(tmp_path / "collection", collection, cast("Embedder", ColourEmbedder())) as opened:
        yield opened


def test_items_come_are_found_and_go(client: TestClient, picture: Picture) -> None:
    for id, colour, label in (("a/1", "red", "warm"), ("b", "orange", "warm"), ("c", "blue", "cold")):
        fields = {"label": label, "attributes": json.dumps({"price": len(id)})}
        answer = client.put(f"/v1/items/{id}", files={"image": picture(colour)}, data=fields)
        assert answer.status_code == 201
    query = {"image": picture("red")}
    hits = client.post("/v1/search", files=query, data={"k": "2"}).json()["hits"]
    assert [(hit["id"], hit["label"]) for hit in hits] == [("a/1", "warm"), ("b", "warm")]
    dear = {"filter": json.dumps({"attributes": {"price": {"gte": 2}}})}
    assert [hit["id"] for hit in client.post("/v1/search", files=query, data=dear).json()["hits"]] == ["a/1"]

    item = client.get("/v1/items/a/1").json()
    assert item["attributes"] == {"price": 3}
    assert client.get("/v1/items/a/1/image").headers["content-type"] == "image/jpeg"
    assert [item["id"] for item in client.get("/v1/items", params={"limit": 2}).json()["items"]] == [
        "a/1",
        "b",
    ]
    stats = client.get("/v1/stats").json()
    assert (stats["items"], stats["labels"], stats["sequence"]) == (3, 2, stats["sequence"])
    assert stats["sequence"] >= item["sequence"]

    assert client.delete("/v1/items/a/1").status_code == 204
    assert client.delete("/v1/items/a/1").status_code == 404
    assert client.get("/v1/stats").json()["items"] == 2
    assert client.get("/metrics").status_code == 200


def test_a_named_write_is_made_once(client: TestClient, picture: Picture) -> None:
    image = {"image": picture("red")}
    first, again = (
        client.put("/v1/items/a", files=image, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert (first.status_code, again.json()) == (201, first.json())


def test_a_server_that_is_gone_is_a_503(
    client: TestClient, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> object:
        raise UnreachableError("items at http://inside:19530: Milvus does not answer")

    for name in ("query", "search", "upsert", "page"):
        monkeypatch.setattr(Connection, name, gone)
    for answer in (
        client.post("/v1/search", files={"image": picture("red")}),
        client.put("/v1/items/a", files={"image": picture("red")}),
        client.get("/v1/stats"),
    ):
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:hdhe:problem:collection-unreachable"
        assert "inside" not in answer.text
        assert "retry-after" in answer.headers
