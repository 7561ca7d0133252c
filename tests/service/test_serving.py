"""Going over to another collection while requests are answered, and looking after the one that is served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from indexes import maintenance
from indexes.collection_reading import stored_items
from indexes.control_socket import NobodyThereError, ask
from indexes.errors import CollectionError, CollectionLockedError, StorageError
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from retrieval.embedder import Embedder, ImageSource
from retrieval.gallery import Gallery
from retrieval.gallery_folder import MODEL_NAME
from retrieval.gallery_snapshot import snapshot_gallery
from retrieval.gallery_switch import switch
from retrieval.images import decode_image
from retrieval.reembedding import begin_to_follow, follow, followed_up_to
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import ColourEmbedder

Picture = Callable[..., bytes]


class Colours(ColourEmbedder):
    """As the model of the first collection, for pictures at hand."""

    def prepare(self, source: ImageSource) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self.bundle.preprocessing.prepare(decode_image(source))
        return pixels

    def decode(self, source: ImageSource) -> Any:
        return decode_image(source)


class OtherColours(Colours):
    """Another model: the opposite colour."""

    fingerprint = "a" * 64

    def __init__(self) -> None:
        super().__init__()
        self.bundle.fingerprint = self.fingerprint

    def embed_prepared(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().embed_prepared(255 - images)


MODELS: dict[str, type[Colours]] = {model.fingerprint: model for model in (Colours, OtherColours)}


def opened(folder: Path) -> Gallery:
    """As open_gallery does it, but that the model is told by its fingerprint."""
    folder = folder.resolve()
    collection = LocalCollection.open(folder)
    return Gallery(folder, collection, cast("Embedder", MODELS[collection.model_fingerprint]()))


def made(folder: Path, model: type[Colours] = Colours) -> Gallery:
    (folder / MODEL_NAME).mkdir(parents=True)
    LocalCollection.create(
        folder, embedding_size=model.embedding_size, model_fingerprint=model.fingerprint
    ).close()
    return opened(folder)


def reembedded(source: Path, target: Path) -> None:
    """What `hdhe index reembed` does, with the other model."""
    with stored_items(source) as items, made(target, OtherColours) as gallery:
        begin_to_follow(target, items)
        list(follow(items, gallery, on_error=lambda *error: pytest.fail(str(error))))


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """To a collection of the first model."""
    made(tmp_path / "first").close()
    (tmp_path / "current").symlink_to("first")
    return tmp_path / "current"


def ready(client: TestClient) -> TestClient:
    deadline = time.monotonic() + 20
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return client


@pytest.fixture
def client(link: Path) -> Iterator[TestClient]:
    app = create_app(opened, Settings(), collection=link)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield ready(client)


def put(client: TestClient, id: str, content: bytes, **fields: str) -> None:
    answer = client.put(f"/v1/items/{id}", files={"image": content}, data=fields)
    assert answer.status_code in (200, 201), answer.text


def on_error(*error: object) -> None:
    pytest.fail(str(error))


def test_a_new_model_takes_over_and_nothing_written_meanwhile_is_lost(
    client: TestClient, link: Path, picture: Picture, tmp_path: Path
) -> None:
    for number in range(70):
        put(client, f"item {number}", picture((number, 20, 200)), label="x", attributes='{"n": 1}')
    reembedded(tmp_path / "first", tmp_path / "second")
    put(client, "late", picture("red"))
    put(client, "item 3", picture("green"), label="new")
    assert client.delete("/v1/items/item%204").status_code == 204

    taken, served = switch(link, tmp_path / "second", on_error=on_error)
    assert served
    assert (taken.thumbnails, taken.deleted, taken.left_out) == (2, 1, 0)
    assert link.readlink() == Path("second")
    stats = client.get("/v1/stats").json()
    assert (stats["items"], stats["model"]) == (70, OtherColours.fingerprint)
    assert client.get("/v1/items/item%203").json()["label"] == "new"
    assert client.get("/v1/items/item%205").json()["attributes"] == {"n": 1}
    assert client.get("/v1/items/item%205/image").headers["content-type"] == "image/jpeg"
    hits = client.post("/v1/search", files={"image": picture("red")}, data={"k": "1"}).json()["hits"]
    assert hits[0]["id"] == "late"
    assert hits[0]["score"] > 0.999
    # The new one is written, the old one is let go.
    put(client, "after", picture("blue"))
    deadline = time.monotonic() + 10
    while True:
        try:
            LocalCollection.open(tmp_path / "first").close()
            break
        except CollectionLockedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert maintenance.check(link).items == 71
    assert maintenance.check(link).ok


def test_requests_in_flight_are_answered_and_none_fails(
    client: TestClient, link: Path, picture: Picture, tmp_path: Path
) -> None:
    put(client, "a", picture("red"), label="x")
    reembedded(tmp_path / "first", tmp_path / "second")
    stop = threading.Event()
    statuses: set[int] = set()
    acknowledged: list[str] = []

    def search() -> None:
        while not stop.is_set():
            statuses.add(client.post("/v1/search", files={"image": picture("red")}).status_code)

    def write(worker: int) -> None:
        number = 0
        while not stop.is_set():
            id = f"{worker}-{number}"
            answer = client.put(f"/v1/items/{id}", files={"image": picture("red")})
            if answer.status_code == 503:
                assert answer.json()["type"] == "urn:hdhe:problem:collection-replaced"
                assert int(answer.headers["retry-after"]) > 0
                continue
            assert answer.status_code == 201, answer.text
            acknowledged.append(id)
            number += 1

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(search), pool.submit(write, 1), pool.submit(write, 2)]
        time.sleep(0.2)
        switch(link, tmp_path / "second", on_error=on_error)
        time.sleep(0.2)
        stop.set()
        for each in work:
            each.result()
    assert statuses == {200}
    assert len(acknowledged) > 4
    found = {item["id"] for item in client.get("/v1/items?limit=1000").json()["items"]}
    assert found == {"a", *acknowledged}
    assert client.get("/v1/model").json()["fingerprint"] == OtherColours.fingerprint


def test_a_slow_request_keeps_its_collection_until_it_is_answered(
    client: TestClient, link: Path, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, "a", picture("red"))
    reembedded(tmp_path / "first", tmp_path / "second")
    searching, go_on = threading.Event(), threading.Event()
    old = cast("Any", client.app).state.backend.collection
    search = old.search

    def slow(*args: object, **kwargs: object) -> object:
        searching.set()
        assert go_on.wait(20)
        return search(*args, **kwargs)

    monkeypatch.setattr(old, "search", slow)
    with ThreadPoolExecutor(1) as pool:
        slow_one = pool.submit(client.post, "/v1/search", files={"image": picture("red")})
        assert searching.wait(10)
        switch(link, tmp_path / "second", on_error=on_error)
        assert client.post("/v1/search", files={"image": picture("red")}).status_code == 200
        time.sleep(0.2)
        assert not slow_one.done()
        go_on.set()
        assert [hit["id"] for hit in slow_one.result().json()["hits"]] == ["a"]


def test_back_to_a_snapshot(client: TestClient, link: Path, picture: Picture, tmp_path: Path) -> None:
    """What does not follow is taken as it is: going back is the wish."""
    put(client, "a", picture("red"))
    manifest = snapshot_gallery(link, tmp_path / "copy")
    assert (manifest.items, manifest.sequence) == (1, 1)
    put(client, "mistake", picture("blue"))
    taken, served = switch(link, tmp_path / "copy", on_error=on_error)
    assert served
    assert taken.writes == 0
    assert [item["id"] for item in client.get("/v1/items").json()["items"]] == ["a"]


def test_the_keys_go_along(client: TestClient, link: Path, tmp_path: Path) -> None:
    (tmp_path / "first" / "keys.json").write_text("{}")
    (tmp_path / "first" / "keys.json").chmod(0o600)
    made(tmp_path / "second").close()
    switch(link, tmp_path / "second", on_error=on_error)
    carried = tmp_path / "second" / "keys.json"
    assert carried.read_text() == "{}"
    assert carried.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_opened_changes_nothing(
    client: TestClient, link: Path, picture: Picture, tmp_path: Path
) -> None:
    put(client, "a", picture("red"))
    with pytest.raises(CollectionError, match="is not a collection"):
        switch(link, tmp_path / "nothing", on_error=on_error)
    made(tmp_path / "damaged").close()
    (tmp_path / "damaged" / DATABASE_NAME).write_bytes(b"no database" * 500)
    with pytest.raises(CollectionError, match="damaged"):
        switch(link, tmp_path / "damaged", on_error=on_error)
    with made(tmp_path / "held"), pytest.raises(CollectionError, match="open for writing"):
        switch(link, tmp_path / "held", on_error=on_error)
    with pytest.raises(CollectionError, match="already"):
        switch(link, tmp_path / "first", on_error=on_error)
    assert link.readlink() == Path("first")
    put(client, "b", picture("blue"))
    assert client.get("/v1/stats").json()["items"] == 2


def test_a_failure_halfway_lets_the_old_one_go_on(
    client: TestClient, link: Path, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, "a", picture("red"))
    reembedded(tmp_path / "first", tmp_path / "second")
    put(client, "b", picture("green"))

    def refuse(*_: object) -> None:
        raise StorageError("the link cannot be replaced")

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.gallery_switch._point", refuse)
        with pytest.raises(CollectionError, match="the link cannot be replaced"):
            switch(link, tmp_path / "second", on_error=on_error)
    put(client, "c", picture("blue"))
    assert client.get("/v1/stats").json()["items"] == 3
    # And again, this time to the end.
    taken, _ = switch(link, tmp_path / "second", on_error=on_error)
    assert taken.thumbnails == 1, "b was taken over by the first try"
    assert client.get("/v1/stats").json()["items"] == 3


def test_a_folder_is_no_link(link: Path, tmp_path: Path) -> None:
    made(tmp_path / "second").close()
    with pytest.raises(CollectionError, match="only a link can be switched"):
        switch(tmp_path / "first", tmp_path / "second", on_error=on_error)
    app = create_app(opened, Settings(), collection=tmp_path / "first")
    with TestClient(app) as client:
        ready(client)
        with pytest.raises(CollectionError, match="restart it with a link to it, then switch the link"):
            switch(link, tmp_path / "second", on_error=on_error)
    assert link.readlink() == Path("first")


def test_without_a_service_the_command_does_it_all(link: Path, picture: Picture, tmp_path: Path) -> None:
    with TestClient(create_app(opened, Settings(), collection=link)) as client:
        put(ready(client), "a", picture("red"))
        reembedded(tmp_path / "first", tmp_path / "second")
        put(client, "b", picture("blue"))
    with pytest.raises(NobodyThereError):
        ask(tmp_path / "first", "check")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrieval.gallery_switch.open_gallery", opened)
        taken, served = switch(link, tmp_path / "second", on_error=on_error)
    assert not served
    assert taken.thumbnails == 1
    with stored_items(link) as items:
        assert sorted(items.ids()) == ["a", "b"]
    assert followed_up_to(tmp_path / "second", "another collection") is None
    # A link that is not there yet is made.
    switch(tmp_path / "new", tmp_path / "second", on_error=on_error)
    assert (tmp_path / "new").readlink() == Path("second")


def test_the_served_collection_is_looked_after(client: TestClient, link: Path, picture: Picture) -> None:
    for number in range(20):
        put(client, str(number), picture((12 * number, 0, 99)))
    assert maintenance.rebuild(link, "hnsw") == "hnsw"
    assert client.get("/v1/stats").json()["index_kind"] == "hnsw"
    for number in range(15):
        client.delete(f"/v1/items/{number}")
    assert maintenance.compact(link).bytes_after > 0
    report = maintenance.check(link)
    assert report.ok
    assert report.items == 5
    hits = client.post("/v1/search", files={"image": picture((228, 0, 99))}, data={"k": "1"}).json()["hits"]
    assert hits[0]["id"] == "19"


def test_a_reader_leaves_the_socket_to_who_writes(client: TestClient, link: Path) -> None:
    def read_only(folder: Path) -> Gallery:
        collection = LocalCollection.open(folder, read_only=True)
        return Gallery(folder, collection, cast("Embedder", Colours()))

    with TestClient(create_app(read_only, Settings(), collection=link)) as other:
        ready(other)
        assert ask(link, "check")["items"] == 0
    assert ask(link, "check")["items"] == 0


def test_a_switch_is_given_up_when_the_service_stops(
    link: Path, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go_on = threading.Event(), threading.Event()

    def slow(folder: Path) -> Gallery:
        if folder.name == "second":
            opening.set()
            assert go_on.wait(20)
        return opened(folder)

    errors: list[str] = []

    def try_to_switch() -> None:
        try:
            switch(link, tmp_path / "second", on_error=on_error)
        except CollectionError as error:
            errors.append(str(error))

    with TestClient(create_app(slow, Settings(), collection=link)) as client:
        put(ready(client), "a", picture("red"))
        reembedded(tmp_path / "first", tmp_path / "second")
        put(client, "b", picture("red"))
        thread = threading.Thread(target=try_to_switch)
        thread.start()
        assert opening.wait(10)
        threading.Timer(0.2, go_on.set).start()
    thread.join()
    assert errors == ["the service is stopping; nothing was switched"]
    assert link.readlink() == Path("first")
    with opened(tmp_path / "first") as first, opened(tmp_path / "second"):
        assert first.collection.count() == 2
