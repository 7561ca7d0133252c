"""Items one at a time: PUT, GET and DELETE, pictures, and paging."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from retrieval.gallery import Gallery

Picture = Callable[..., bytes]
Put = Callable[..., None]


def test_a_put_creates_then_replaces(client: TestClient, gallery: Gallery, picture: Picture) -> None:
    first = client.put(
        "/v1/items/vase",
        files={"image": picture("red")},
        data={"label": "warm", "attributes": '{"price": 12.5, "sold": false, "note": null, "kind": "jug"}'},
    )
    assert first.status_code == 201
    attributes = {"price": 12.5, "sold": False, "note": None, "kind": "jug"}
    assert first.json() == {"id": "vase", "label": "warm", "attributes": attributes, "sequence": 1}
    assert client.get("/v1/items/vase").json() == first.json()
    red = gallery.collection.vectors(["vase"])[0]

    second = client.put("/v1/items/vase", files={"image": picture("blue")})
    assert second.status_code == 200
    assert second.json() == {"id": "vase", "label": None, "attributes": {}, "sequence": 2}
    assert not np.allclose(red, gallery.collection.vectors(["vase"])[0])
    assert client.get("/v1/stats").json()["items"] == 1


def test_a_deleted_item_is_gone(client: TestClient, put: Put) -> None:
    put("vase", "red")
    gone = client.delete("/v1/items/vase")
    assert (gone.status_code, gone.content) == (204, b"")
    for answer in (
        client.get("/v1/items/vase"),
        client.get("/v1/items/vase/image"),
        client.delete("/v1/items/vase"),
        client.post("/v1/search", json={"id": "vase"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:hdhe:problem:unknown-item"
        assert "vase" in answer.json()["detail"]


@pytest.mark.parametrize(
    "id",
    [
        "a/b/c.jpg",
        "a/image",
        "image",
        "image/",
        "a//b",
        "/a",
        "a/",
        "a b+c%2F?#&;=",
        "100%",
        "Geschirr/grüne Vase Ø 12",
        "陶器/七",
        "../../etc/passwd",
        "x" * 512,
    ],
)
def test_any_id_can_be_written_percent_encoded(client: TestClient, picture: Picture, id: str) -> None:
    path = f"/v1/items/{quote(id, safe='')}"
    assert client.put(path, files={"image": picture("red")}).json()["id"] == id
    assert client.get(path).json()["id"] == id
    assert client.get(f"{path}/image").headers["content-type"] == "image/jpeg"
    assert [item["id"] for item in client.get("/v1/items").json()["items"]] == [id]
    assert client.delete(path).status_code == 204


def test_plain_slashes_name_the_same_item(client: TestClient, put: Put) -> None:
    put("a/b.jpg", "red")
    assert client.get("/v1/items/a%2Fb.jpg").json()["id"] == "a/b.jpg"
    assert client.get("/v1/items/a/b.jpg").json()["id"] == "a/b.jpg"
    assert client.get("/v1/items/a/b.jpg/image").status_code == 200
    assert client.delete("/v1/items/a/b.jpg").status_code == 204


def test_a_path_that_ends_in_a_plain_image_is_the_picture(
    client: TestClient, put: Put, picture: Picture
) -> None:
    put("a", "red")
    put("a%2Fimage", "blue")

    def colour_at(path: str) -> tuple[int, ...]:
        pixel = Image.open(io.BytesIO(client.get(path).content)).getpixel((5, 5))
        assert isinstance(pixel, tuple)
        return tuple(round(value / 255) for value in pixel)

    assert colour_at("/v1/items/a/image") == (1, 0, 0)
    assert colour_at("/v1/items/a%2Fimage/image") == (0, 0, 1)
    assert client.get("/v1/items/a%2Fimage").json()["id"] == "a/image"
    for answer in (
        client.put("/v1/items/a/image", files={"image": picture("green")}),
        client.delete("/v1/items/a/image"),
    ):
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET"
        assert "%2Fimage" in answer.json()["detail"]
    assert client.get("/v1/stats").json()["items"] == 2


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/items/", "empty"),
        ("/v1/items//image", "empty"),
        ("/v1/items/a%00b", "control"),
        ("/v1/items/a%0Ab", "control"),
        ("/v1/items/" + "x" * 513, "512"),
        ("/v1/items/" + "x" * 10_000, "512"),
        ("/v1/items/%FF", "UTF-8"),
        ("/v1/items/%ED%A0%80", "UTF-8"),
    ],
)
def test_an_id_that_no_item_can_have_is_refused(
    client: TestClient, picture: Picture, path: str, named: str
) -> None:
    answers = [client.get(path)]
    if not path.endswith("/image"):
        answers += [client.put(path, files={"image": picture("red")}), client.delete(path)]
    for answer in answers:
        assert answer.status_code == 422
        assert named in answer.json()["detail"]
        assert len(answer.content) < 1000
    assert client.get("/v1/stats").json()["items"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"attributes": "{"},
        {"attributes": "[]"},
        {"attributes": '"red"'},
        {"attributes": '{"a": NaN}'},
        {"attributes": '{"a": 1e999}'},
        {"attributes": '{"a": {"b": 1}}'},
        {"attributes": '{"a": [1]}'},
        {"attributes": '{"a": 123456789012345678901234567890}'},
        {"attributes": '{"a": "\\u0000"}'},
        {"attributes": '{"a": "\\ud800"}'},
        {"attributes": json.dumps({"a": "x" * 20_000})},
        {"attributes": "[" * 50_000},
        {"label": "x" * 513},
        {"label": "a\x00b"},
        {"label": ["one", "two"]},
        {"lable": "vase"},
    ],
)
def test_an_item_that_cannot_be_stored_is_refused(
    client: TestClient, picture: Picture, fields: dict[str, str]
) -> None:
    answer = client.put("/v1/items/vase", files={"image": picture("red")}, data=fields)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert len(answer.content) < 1000
    assert client.get("/v1/stats").json()["items"] == 0


def test_an_upload_name_is_only_a_name(client: TestClient, picture: Picture) -> None:
    files = {"image": ("../../../etc/passwd", picture("red"), "text/x-evil")}
    assert client.put("/v1/items/a", files=files).status_code == 201


def test_the_picture_is_a_small_jpeg_with_an_etag(client: TestClient, picture: Picture) -> None:
    large = picture("green", size=(900, 600))
    client.put("/v1/items/a", files={"image": large})
    answer = client.get("/v1/items/a/image")
    shown = Image.open(io.BytesIO(answer.content))
    assert (shown.format, shown.size) == ("JPEG", (256, 171))
    assert answer.headers["cache-control"] == "no-cache"
    etag = answer.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get("/v1/items/a/image", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    client.put("/v1/items/a", files={"image": picture("blue")})
    assert client.get("/v1/items/a/image", headers={"If-None-Match": etag}).status_code == 200


def test_pages_together_are_the_collection(client: TestClient, put: Put) -> None:
    names = sorted(f"{folder}/{number}" for folder in ("a", "ä", "b c") for number in range(4))
    for name in reversed(names):
        put(quote(name), "red", label="even" if int(name[-1]) % 2 == 0 else "odd")

    def walk(**query: str) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            parameters = query if cursor is None else {**query, "cursor": cursor}
            page = client.get("/v1/items", params=parameters).json()
            found += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found
            assert len(page["items"]) == int(query["limit"])

    assert walk(limit="5") == walk(limit="12") == walk(limit="1") == names
    assert walk(limit="2", label="odd") == [name for name in names if int(name[-1]) % 2]
    assert walk(limit="2", label="none") == []


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"cursor": "!"}, {"cursor": "_w"}, {"cursor": "ä"}],
)
def test_a_wrong_page_is_refused(client: TestClient, query: dict[str, str]) -> None:
    answer = client.get("/v1/items", params=query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json()["detail"]
