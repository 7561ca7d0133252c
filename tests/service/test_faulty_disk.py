"""What clients are told when the disk is full, read-only or damaged, and what goes on all the same."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from fastapi.testclient import TestClient

from indexes.collection import NewItem
from indexes.errors import StorageError
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from retrieval.embedder import Embedder
from retrieval.gallery import Gallery
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import FINGERPRINT, ColourEmbedder

Picture = Callable[..., bytes]
Put = Callable[..., None]

PAGE = 16_384


def is_storage_problem(answer: object) -> bool:
    problem = answer.json()  # type: ignore[attr-defined]  # an answer of httpx
    assert "collection.sqlite" not in problem["detail"]
    return bool(problem["status"] == 507 and problem["type"] == "urn:hdhe:problem:storage")


def test_a_full_disk(client: TestClient, put: Put, picture: Picture, gallery: Gallery) -> None:
    put("a", "red", label="x")
    size = sum(path.stat().st_size for path in gallery.folder.glob(f"{DATABASE_NAME}*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, hard))
    try:
        acknowledged = 0
        while (
            answer := client.put(f"/v1/items/{acknowledged}", files={"image": picture("blue")})
        ).is_success:
            acknowledged += 1
            assert acknowledged < 200
        assert is_storage_problem(answer)
        hits = client.post("/v1/search", files={"image": picture("red")}, data={"k": "1"}).json()["hits"]
        assert hits[0]["id"] == "a"
        assert client.get("/v1/items/a/image").status_code == 200
        assert client.get("/readyz").status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    put("later", "green")
    assert client.get("/v1/stats").json()["items"] == acknowledged + 2
    assert cast("LocalCollection", gallery.collection).check().ok


def test_a_disk_that_becomes_read_only(
    client: TestClient, put: Put, picture: Picture, gallery: Gallery
) -> None:
    put("a", "red", label="x")
    writer = cast("LocalCollection", gallery.collection)._rows.database._writer
    assert writer is not None
    # As SQLite answers when the file system was remounted read-only after an error.
    writer.execute("PRAGMA query_only = ON")
    assert is_storage_problem(client.put("/v1/items/b", files={"image": picture("blue")}))
    assert is_storage_problem(client.delete("/v1/items/a"))
    assert client.post("/v1/search", json={"id": "a"}).status_code == 200
    assert client.get("/v1/items").json()["items"][0]["id"] == "a"
    writer.execute("PRAGMA query_only = OFF")
    put("b", "blue")
    assert client.get("/v1/stats").json()["items"] == 2


def test_damaged_pages(tmp_path: Path, picture: Picture, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever page it is: an answer as ever, or that the disk refused; never a failure of another kind."""
    folder = tmp_path / "c"
    rng = np.random.default_rng(0)
    vectors = np.abs(rng.standard_normal((300, 4))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with LocalCollection.create(folder, embedding_size=4, model_fingerprint=FINGERPRINT) as collection:
        collection.upsert(
            [
                NewItem(f"item {number:03}", vector, f"label {number % 9}", {}, picture("red"))
                for number, vector in enumerate(vectors)
            ]
        )
    path = folder / DATABASE_NAME
    whole = path.read_bytes()
    refused = unopened = 0
    caplog.set_level(logging.CRITICAL)
    # The first page is the header: see the tests of the collection.
    for start in range(PAGE, len(whole), PAGE):
        path.write_bytes(whole[:start] + bytes(PAGE) + whole[start + PAGE :])
        try:
            collection = LocalCollection.open(folder)
        except StorageError:
            unopened += 1
            continue
        with collection:
            gallery = Gallery(folder, collection, cast("Embedder", ColourEmbedder()))
            with TestClient(create_app(gallery, Settings()), raise_server_exceptions=False) as client:
                answers = [
                    client.post("/v1/search", files={"image": picture("red")}, data={"k": "300"}),
                    client.post("/v1/search", json={"id": "item 150", "filter": {"label": "label 3"}}),
                    client.get("/v1/items?limit=300"),
                    client.get("/v1/items/item%20007"),
                    client.get("/v1/items/item%20200/image"),
                    client.get("/v1/recall"),
                    client.get("/v1/stats"),
                    client.put("/v1/items/item%20100", files={"image": picture("blue")}),
                    client.delete("/v1/items/item%20299"),
                ]
                assert client.get("/healthz").status_code == 200
            failed = [answer for answer in answers if not answer.is_success]
            assert all(answer.status_code == 404 or is_storage_problem(answer) for answer in failed)
            refused += any(answer.status_code == 507 for answer in failed)
        path.unlink(missing_ok=True)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert refused >= 4
    assert unopened >= 1
