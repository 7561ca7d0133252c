"""Uploads that need not be made twice: the same content, and `Idempotency-Key`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from indexes.collection import NewItem
from indexes.errors import StorageError
from retrieval.gallery import Gallery

Picture = Callable[..., bytes]


@pytest.fixture
def embedded(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each batch had."""
    batches: list[int] = []
    embed = gallery.embedder.embed_prepared

    def counted(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches.append(len(images))
        return embed(images)

    monkeypatch.setattr(gallery.embedder, "embed_prepared", counted)
    return batches


def put(client: TestClient, image: bytes, key: str | None = None, **fields: str) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.put("/v1/items/vase", files={"image": image}, data=fields, headers=headers)


def bulk(client: TestClient, images: list[bytes], ids: list[str], key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    files = [("image", ("x", image)) for image in images]
    answer = client.post("/v1/items", files=files, data={"id": ids}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_put_of_the_same_content_is_no_new_work(
    client: TestClient, picture: Picture, embedded: list[int]
) -> None:
    first = put(client, picture("red"), label="warm", attributes='{"a": 1, "b": null}')
    again = put(client, picture("red"), label="warm", attributes='{"b": null, "a": 1}')
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert embedded == [1]
    changed = put(client, picture("red"), label="warm", attributes='{"a": true, "b": null}')
    assert changed.json()["sequence"] == 2
    assert put(client, picture("blue"), label="warm").json()["sequence"] == 3
    assert embedded == [1, 1, 1]


def test_a_bulk_upload_embeds_only_what_is_new(
    client: TestClient, picture: Picture, embedded: list[int]
) -> None:
    bulk(client, [picture("red"), picture("green")], ["a", "b"])
    answer = bulk(client, [picture("red"), picture("white"), picture("blue")], ["a", "b", "c"])
    assert [result["status"] for result in answer["results"]] == [200, 200, 201]
    assert [result["item"]["sequence"] for result in answer["results"]] == [1, 3, 4]
    assert embedded == [2, 2]
    assert bulk(client, [picture("red")], ["a"])["replaced"] == 1
    assert embedded == [2, 2]


def test_a_repeated_put_is_answered_as_the_first_time_and_undoes_nothing(
    client: TestClient, picture: Picture, embedded: list[int]
) -> None:
    first = put(client, picture("red"), key="4d7e", label="warm")
    put(client, picture("blue"))
    again = put(client, picture("red"), key="4d7e", label="warm")
    assert (again.status_code, again.json()) == (201, first.json())
    assert client.get("/v1/items/vase").json()["sequence"] == 2
    assert embedded == [1, 1]


def test_a_key_of_another_put_is_refused(client: TestClient, picture: Picture, embedded: list[int]) -> None:
    put(client, picture("red"), key="k")
    for refused in (
        put(client, picture("blue"), key="k"),
        put(client, picture("red"), key="k", label="warm"),
        client.put("/v1/items/x", files={"image": picture("red")}, headers={"Idempotency-Key": "k"}),
    ):
        assert refused.status_code == 422
        assert refused.json()["type"] == "urn:hdhe:problem:invalid-item"
        assert "another write" in refused.json()["detail"]
    assert embedded == [1]
    assert client.get("/v1/stats").json()["items"] == 1


def test_a_bulk_upload_that_broke_off_is_completed(
    client: TestClient,
    picture: Picture,
    gallery: Gallery,
    embedded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upsert = gallery.collection.upsert

    def full_after_the_first_batch(items: list[NewItem]) -> object:
        if gallery.collection.count() > 0:
            raise StorageError("disk full")
        return upsert(items)

    names = [str(number) for number in range(10)]
    images = [picture((20 * number, 0, 0)) for number in range(10)]
    with monkeypatch.context() as patch:
        patch.setattr(gallery.collection, "upsert", full_after_the_first_batch)
        broken = bulk(client, images, names, key="k")
    assert [result["status"] for result in broken["results"]] == [201] * 8 + [507] * 2
    # Another write comes between, and is not overwritten.
    client.delete("/v1/items/3")
    done = bulk(client, images, names, key="k")
    assert [result["status"] for result in done["results"]] == [201] * 10
    assert [result["item"] for result in done["results"][:8]] == [
        result["item"] for result in broken["results"][:8]
    ]
    assert embedded == [8, 2, 2]
    assert client.get("/v1/items/3").status_code == 404
    assert bulk(client, images, names, key="k") == done


def test_an_image_that_was_refused_is_refused_again(client: TestClient, picture: Picture) -> None:
    for _ in range(2):
        answer = bulk(client, [b"no image", picture("red")], ["a", "b"], key="k")
        assert [result["status"] for result in answer["results"]] == [422, 201]


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "é"])
def test_a_wrong_key_is_refused(client: TestClient, picture: Picture, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    put = client.put("/v1/items/a", files={"image": picture("red")}, headers=headers)
    assert put.status_code == 422
    assert "idempotency-key" in put.json()["detail"].lower()
    post = client.post("/v1/items", files={"image": picture("red")}, data={"id": "a"}, headers=headers)
    assert post.status_code == 422
    assert client.get("/v1/stats").json()["items"] == 0
