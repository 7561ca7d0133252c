"""POST /v1/items: many items, a result for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexes.collection import NewItem
from indexes.errors import StorageError
from retrieval.gallery import Gallery

Picture = Callable[..., bytes]
Put = Callable[..., None]


def send(client: TestClient, images: list[bytes], **fields: list[str]) -> Any:
    files = [("image", (f"{number}.png", content)) for number, content in enumerate(images)]
    return client.post("/v1/items", files=files, data=fields)


def test_one_bad_image_does_not_spoil_the_others(client: TestClient, picture: Picture, put: Put) -> None:
    put("b", "blue")
    answer = send(
        client,
        [picture("red"), picture("green"), b"no image", picture("white"), picture("black"), picture("red")],
        id=["a", "b", "c", "d\x00", "e", "a"],
        label=["one", "", "two", "three", "four", "five"],
        attributes=["", '{"n": 1}', "", "", '{"n": NaN}', ""],
    )
    assert answer.status_code == 200
    body = answer.json()
    assert [(result["id"], result["status"]) for result in body["results"]] == [
        ("a", 201),
        ("b", 200),
        ("c", 422),
        ("d\x00", 422),
        ("e", 422),
        ("a", 422),
    ]
    assert (body["created"], body["replaced"], body["failed"]) == (1, 1, 4)
    assert body["results"][0]["item"] == client.get("/v1/items/a").json()
    assert client.get("/v1/items/a").json()["label"] == "one"
    assert client.get("/v1/items/b").json()["attributes"] == {"n": 1}
    kinds = [result["problem"]["type"].rpartition(":")[2] for result in body["results"][2:]]
    assert kinds == ["unreadable-image", "invalid-item", "invalid-request", "invalid-request"]
    assert client.get("/v1/stats").json()["items"] == 2


def test_an_item_the_collection_refuses_does_not_spoil_its_transaction(
    client: TestClient, picture: Picture
) -> None:
    answer = send(client, [picture("red")] * 3, id=["a", "b", "c"], label=["x", "y" * 600, "z"])
    assert [result["status"] for result in answer.json()["results"]] == [201, 422, 201]


def test_more_images_than_one_batch_keep_their_order(
    client: TestClient, picture: Picture, gallery: Gallery
) -> None:
    names = [f"{number:02}" for number in range(19)]
    images = [picture((13 * number, 255 - 13 * number, 0)) for number in range(19)]
    answer = send(client, images, id=names, label=names)
    assert [result["item"]["label"] for result in answer.json()["results"]] == names
    reds = gallery.collection.vectors(names)[:, 0]
    assert (reds[1:] > reds[:-1]).all()


def test_a_large_image_is_refused_alone(client: TestClient, picture: Picture) -> None:
    answer = send(client, [b"x" * 100_001, picture("red")], id=["a", "b"])
    assert [result["status"] for result in answer.json()["results"]] == [413, 201]


def test_a_full_disk_is_told_for_the_items_it_meets(
    client: TestClient, picture: Picture, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = gallery.collection.upsert

    def full_after_the_first_batch(items: list[NewItem]) -> object:
        if gallery.collection.count() > 0:
            raise StorageError("/secret/collection.sqlite: disk full")
        return upsert(items)

    monkeypatch.setattr(gallery.collection, "upsert", full_after_the_first_batch)
    answer = send(client, [picture("red")] * 10, id=[str(number) for number in range(10)])
    assert [result["status"] for result in answer.json()["results"]] == [201] * 8 + [507] * 2
    assert "secret" not in answer.text
    assert client.get("/v1/stats").json()["items"] == 8


@pytest.mark.parametrize(
    ("images", "fields", "status", "named"),
    [
        (2, {"id": ["a"]}, 422, "2 images and 1 ids"),
        (1, {}, 422, "0 ids"),
        (2, {"id": ["a", "b"], "label": ["x"]}, 422, "label"),
        (1, {"id": ["a"], "attributes": ["{}", "{}"]}, 422, "attributes"),
        (1, {"id": ["a"], "ids": ["a"]}, 422, "ids"),
        (0, {"id": ["a"]}, 415, "multipart"),
        (21, {"id": ["a"] * 21}, 413, "20 images"),
        (22, {"id": ["a"] * 22}, 400, "Too many files"),
    ],
)
def test_a_request_whose_fields_do_not_pair_is_refused_whole(
    client: TestClient, picture: Picture, images: int, fields: dict[str, list[str]], status: int, named: str
) -> None:
    answer = send(client, [picture("red")] * images, **fields)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"]
    assert client.get("/v1/stats").json()["items"] == 0
