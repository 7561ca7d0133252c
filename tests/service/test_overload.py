"""More than the service can do: what is refused, what is kept, and who goes first. Over real connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from retrieval.gallery import Gallery
from service.app import create_app
from service.backend import Backend
from service.settings import Settings
from tests.service.conftest import ColourEmbedder
from tests.service.serving import serving

Picture = Callable[..., bytes]


class GatedEmbedder(ColourEmbedder):
    """Embeds a batch for each step that the test lets it take. batches: their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.begun = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[int] = []

    def embed_prepared(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As ever, when there is a step."""
        self.batches.append(len(images))
        self.begun.release()
        assert self.steps.acquire(timeout=20)
        return super().embed_prepared(images)


@dataclass
class Busy:
    """A service whose network is stopped, and clients in threads."""

    address: str
    app: FastAPI
    embedder: GatedEmbedder
    clients: ThreadPoolExecutor

    @property
    def backend(self) -> Backend:
        return cast("Backend", self.app.state.backend)

    def search(self, image: bytes) -> Future[httpx.Response]:
        return self.clients.submit(
            httpx.post, f"{self.address}/v1/search", files={"image": image}, timeout=20
        )

    def upload(self, images: list[bytes], first: str = "a") -> Future[httpx.Response]:
        files = [("image", ("x", image)) for image in images]
        ids = {"id": [f"{first}{number}" for number in range(len(images))]}
        return self.clients.submit(httpx.post, f"{self.address}/v1/items", files=files, data=ids, timeout=20)

    def until_waiting(self, images: int) -> None:
        deadline = time.monotonic() + 10
        while self.backend.waiting != images:
            assert time.monotonic() < deadline, self.backend.waiting
            time.sleep(0.005)


@pytest.fixture
def busy(gallery: Gallery) -> Iterator[Busy]:
    embedder = GatedEmbedder()
    object.__setattr__(gallery, "embedder", embedder)
    settings = Settings(
        max_waiting_searches=3, max_waiting_uploads=4, upload_batch_images=2, batch_delay_ms=0
    )
    app = create_app(gallery, settings)
    with ThreadPoolExecutor(12) as clients, serving(app) as address:
        yield Busy(address, app, embedder, clients)
        embedder.steps.release(1000)


def test_a_full_line_is_told_and_is_open_again_afterwards(busy: Busy, picture: Picture) -> None:
    accepted = [busy.search(picture("red")) for _ in range(3)]
    busy.until_waiting(3)
    refused = busy.search(picture("red")).result()
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:hdhe:problem:overloaded"
    assert int(refused.headers["retry-after"]) >= 1
    # What needs no network is answered, and so is an upload.
    assert httpx.post(f"{busy.address}/v1/search", json={"vector": [1, 0, 0, 0]}).status_code == 200
    stored = busy.upload([picture("green")])
    busy.until_waiting(4)
    busy.embedder.steps.release(1000)
    assert [each.result().status_code for each in [*accepted, stored]] == [200] * 4
    assert busy.backend.waiting == 0
    assert busy.search(picture("red")).result().status_code == 200


def test_uploads_refuse_uploads_and_no_search(busy: Busy, picture: Picture) -> None:
    # Of six images four are under way.
    large = busy.upload([picture("green")] * 6)
    busy.until_waiting(4)
    for refused in (busy.upload([picture("red")], "b").result(), _embeddings(busy, picture("red"))):
        assert refused.status_code == 503
    assert httpx.put(f"{busy.address}/v1/items/x", files={"image": picture("red")}).status_code == 503
    search = busy.search(picture("red"))
    busy.until_waiting(5)
    busy.embedder.steps.release(1000)
    assert search.result().status_code == 200
    assert large.result().json()["created"] == 6


def test_a_search_waits_for_one_small_batch_of_an_upload(busy: Busy, picture: Picture) -> None:
    large = busy.upload([picture("green")] * 6)
    assert busy.embedder.begun.acquire(timeout=10)
    search = busy.search(picture("red"))
    busy.until_waiting(5)
    _until_in_line(busy, 1)
    busy.embedder.steps.release(2)
    assert search.result().status_code == 200
    assert not large.done()
    busy.embedder.steps.release(1000)
    assert large.result().json()["created"] == 6
    assert busy.embedder.batches == [2, 1, 2, 2]


def test_who_leaves_gives_the_place_back_and_is_not_embedded(busy: Busy, picture: Picture) -> None:
    first = busy.search(picture("red"))
    assert busy.embedder.begun.acquire(timeout=10)
    host, _, port = busy.address.removeprefix("http://").partition(":")
    for path, waiting in [("POST /v1/search", 2), ("PUT /v1/items/gone", 2), ("POST /v1/embeddings", 2)]:
        with socket.create_connection((host, int(port))) as leaving:
            leaving.sendall(_request(path, picture("blue")))
            busy.until_waiting(waiting)
        busy.until_waiting(1)
    busy.embedder.steps.release(1000)
    assert first.result().status_code == 200
    assert busy.search(picture("red")).result().status_code == 200
    assert busy.embedder.batches == [1, 1]
    assert busy.backend.collection.count() == 0


def test_searches_that_came_while_the_network_was_busy_share_a_batch(busy: Busy, picture: Picture) -> None:
    first = busy.search(picture("red"))
    assert busy.embedder.begun.acquire(timeout=10)
    others = [busy.search(picture(colour)) for colour in ("green", "blue")]
    busy.until_waiting(3)
    _until_in_line(busy, 2)
    busy.embedder.steps.release(1000)
    assert [each.result().status_code for each in [first, *others]] == [200] * 3
    assert busy.embedder.batches == [1, 2]


def test_a_stop_finishes_what_was_accepted(gallery: Gallery, picture: Picture) -> None:
    embedder = GatedEmbedder()
    object.__setattr__(gallery, "embedder", embedder)
    app = create_app(gallery, Settings(batch_delay_ms=0))
    with ThreadPoolExecutor(8) as clients:
        with serving(app) as address:
            busy = Busy(address, app, embedder, clients)
            asked = [busy.search(picture("red")) for _ in range(4)]
            stored = busy.upload([picture("green"), picture("blue")])
            busy.until_waiting(6)
            threading.Timer(0.3, embedder.steps.release, [1000]).start()
        # The server has been told to stop, and has stopped.
        assert [each.result(0).status_code for each in asked] == [200] * 4
        assert stored.result(0).json()["created"] == 2
    assert gallery.collection.count() == 2


def _embeddings(busy: Busy, image: bytes) -> httpx.Response:
    return httpx.post(f"{busy.address}/v1/embeddings", files={"image": image})


def _request(path: str, image: bytes) -> bytes:
    part = b'--cut\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body = part + image + b"\r\n--cut--\r\n"
    head = f"{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: multipart/form-data; boundary=cut\r\n\r\n" + body


def _until_in_line(busy: Busy, searches: int) -> None:
    """Until so many decoded searches stand before the network."""
    lines = busy.backend.embedding._batcher._lines
    deadline = time.monotonic() + 10
    while len(lines._lines[0]) != searches:
        assert time.monotonic() < deadline
        time.sleep(0.005)
