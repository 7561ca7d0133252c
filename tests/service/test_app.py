"""The life of the service: loading, readiness, searching beside writing, and the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from indexes.collection import NewItem
from indexes.errors import CollectionError
from retrieval.gallery import Gallery
from service.app import create_app
from service.settings import Settings

Picture = Callable[..., bytes]
Put = Callable[..., None]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_being_up_waits_for_no_network_library() -> None:
    script = "import service.app, sys; print(sorted({'torch', 'torchvision', 'timm', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_is_up_before_it_is_ready(gallery: Gallery, picture: Picture) -> None:
    opened = threading.Event()

    def open_slowly(_: Path) -> Gallery:
        assert opened.wait(10)
        return gallery

    with TestClient(create_app(open_slowly, Settings())) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/").status_code == 200
        for answer in (client.get("/readyz"), client.post("/v1/search", files={"image": picture("red")})):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:hdhe:problem:not-ready"
            assert int(answer.headers["retry-after"]) > 0
        opened.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/search", files={"image": picture("red")}).json()["hits"] == []
    # It opened the gallery, so it closes it.
    with pytest.raises(CollectionError):
        gallery.collection.count()


def test_a_collection_that_cannot_be_opened_is_reported() -> None:
    failures: list[BaseException] = []

    def fail(_: Path) -> Gallery:
        raise CollectionError("/secret is not a collection")

    with TestClient(create_app(fail, Settings(), on_failure=failures.append)) as client:
        wait_until(lambda: bool(failures))
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "secret" not in answer.text
    assert isinstance(failures[0], CollectionError)


def test_a_gallery_that_was_handed_over_stays_open(gallery: Gallery, picture: Picture) -> None:
    with TestClient(create_app(gallery, Settings())) as client:
        client.put("/v1/items/a", files={"image": picture("red")})
    assert gallery.collection.count() == 1


def test_it_answers_without_a_lifespan(gallery: Gallery) -> None:
    app = create_app(gallery)

    async def ask() -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get("/readyz")).status_code

    assert asyncio.run(ask()) == 200
    app.state.backend.close()


def test_searches_go_on_while_a_write_waits_for_the_disk(
    client: TestClient, gallery: Gallery, picture: Picture, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a", "red")
    writing, disk = threading.Event(), threading.Event()
    upsert = gallery.collection.upsert

    def slow(items: list[NewItem]) -> object:
        writing.set()
        assert disk.wait(10)
        return upsert(items)

    monkeypatch.setattr(gallery.collection, "upsert", slow)
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(client.put, "/v1/items/b", files={"image": picture("blue")})
        assert writing.wait(10)
        for _ in range(3):
            hits = client.post("/v1/search", files={"image": picture("red")}).json()["hits"]
            assert [hit["id"] for hit in hits] == ["a"]
        assert client.get("/v1/items/a").status_code == 200
        assert not write.done()
        disk.set()
        assert write.result().status_code == 201


def test_many_clients_at_once_get_their_own_answers(client: TestClient, picture: Picture) -> None:
    colours = [(15 * number, 0, 240 - 15 * number) for number in range(16)]

    def work(number: int) -> Any:
        image = {"image": picture(colours[number])}
        created = client.put(f"/v1/items/{number}", files=image)
        found = client.post("/v1/search", files=image, data={"k": "1"}).json()["hits"][0]
        return created.status_code, found["id"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [(201, str(number)) for number in range(16)]
    assert client.get("/v1/stats").json()["items"] == 16
