"""POST /v1/explanations over a real network."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import retrieval.explain
from indexes import NewItem
from retrieval.bundle import load_bundle
from retrieval.gallery import Gallery, create_gallery
from service.app import create_app
from service.explanations import WAITING
from service.settings import Settings

SIZE = 96


def disc(x: int, y: int) -> bytes:
    """A striped disc on an even ground, around a point."""
    image = Image.new("RGB", (SIZE, SIZE), (120, 130, 140))
    pen = ImageDraw.Draw(image)
    for radius, colour in ((18, "red"), (13, "yellow"), (8, "blue")):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with create_gallery(
        tmp_path_factory.mktemp("explained") / "collection", load_bundle("hdhe:efficientnet_lite0@96")
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(gallery: Gallery) -> Iterator[TestClient]:
    with TestClient(create_app(gallery, Settings())) as opened:
        for id, place in (("left", (24, 24)), ("shop/right", (72, 72))):
            assert opened.put(f"/v1/items/{id}", files={"image": disc(*place)}).status_code == 201
        vector = np.zeros(gallery.embedder.embedding_size, np.float32)
        vector[0] = 1
        gallery.collection.upsert([NewItem("bare", vector)])
        yield opened


def explained(client: TestClient, **fields: str) -> Any:
    return client.post("/v1/explanations", files={"image": disc(24, 72)}, data={"id": "left", **fields})


def picture(content: bytes) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), np.int64)


def centre_of_heat(pixels: NDArray[np.int64]) -> tuple[float, float]:
    """x and y of the middle of what is coloured; the photograph beneath is grey."""
    colour = (pixels.max(2) - pixels.min(2)).astype(float)
    colour[colour < np.quantile(colour, 0.9)] = 0
    ys, xs = np.mgrid[: len(pixels), : pixels.shape[1]]
    return float((xs * colour).sum() / colour.sum()), float((ys * colour).sum() / colour.sum())


def test_the_score_is_the_cosine_of_the_query_and_the_thumbnail(client: TestClient, gallery: Gallery) -> None:
    thumbnail = client.get("/v1/items/left/image").content
    query, item = gallery.embedder.embed([disc(24, 72), thumbnail])
    answer = explained(client)
    assert answer.headers["content-type"] == "image/png"
    assert float(answer.headers["hdhe-score"]) == pytest.approx(float(query @ item), abs=1e-3)


def test_the_heat_lies_where_the_two_are_alike(client: TestClient) -> None:
    # Without the typical image: among two discs, what is typical is a disc.
    for view, (x, y) in (("item", (24, 24)), ("query", (24, 72))):
        pixels = picture(explained(client, view=view, typical="false").content)
        assert pixels.shape == (SIZE, SIZE, 3)
        found_x, found_y = centre_of_heat(pixels)
        assert (found_x < SIZE / 2, found_y < SIZE / 2) == (x < SIZE / 2, y < SIZE / 2), view


def test_the_panels_show_both_and_each_head(client: TestClient) -> None:
    pixels = picture(explained(client, view="panels").content)
    height, width, _ = pixels.shape
    assert width > 4 * 220  # the photograph, two heads, and both together
    assert height > 2 * 220


@pytest.mark.parametrize("view", ["item", "query"])
def test_the_parts_of_the_heads_add_up(client: TestClient, gallery: Gallery, view: str) -> None:
    def part(**fields: str) -> float:
        return float(explained(client, view=view, **fields).headers["hdhe-part"])

    plain = explained(client, view=view, typical="false")
    assert part(typical="false") == float(plain.headers["hdhe-score"])
    assert part(typical="false", head="1") + part(typical="false", head="2") == pytest.approx(
        part(typical="false"), abs=2e-4
    )
    assert explained(client, view=view, typical="false", head="1").content != plain.content
    # With it they are what goes beyond the likeness to the average of the collection.
    thumbnail = client.get("/v1/items/left/image").content
    query, item = gallery.embedder.embed([disc(24, 72), thumbnail])
    own, other = (item, query) if view == "item" else (query, item)
    beyond = float(own @ (other - gallery.collection.sample(10).mean(0)))
    assert part(head="1") + part(head="2") == pytest.approx(beyond, abs=2e-3)
    assert part() == pytest.approx(beyond, abs=2e-3)


def test_what_is_typical_is_taken_off_unless_it_is_not_wanted(client: TestClient) -> None:
    plain = explained(client, typical="false").content
    assert explained(client).content != plain
    assert explained(client, typical="true").content == explained(client).content


def test_two_items(client: TestClient) -> None:
    query = {"query_id": "shop/right", "id": "left", "view": "query"}
    answer = client.post("/v1/explanations", json=query)
    assert answer.status_code == 200
    assert picture(answer.content).shape == (SIZE, SIZE, 3)
    same = client.post("/v1/explanations", json={"query_id": "left", "id": "left"})
    assert float(same.headers["hdhe-score"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("fields", "status", "kind", "named"),
    [
        ({"id": "nothing"}, 404, "unknown-item", "nothing"),
        ({"id": "bare"}, 404, "no-picture", "without a picture"),
        ({"id": ""}, 422, "invalid-item", "id"),
        ({"view": "both"}, 422, "invalid-request", "view"),
        ({"typical": "perhaps"}, 422, "invalid-request", "typical"),
        ({"head": "0"}, 422, "invalid-request", "head"),
        ({"head": "3"}, 422, "invalid-request", "at most 2"),
        ({"head": "1", "view": "panels"}, 422, "invalid-request", "head"),
        ({"heads": "1"}, 422, "invalid-request", "heads"),
    ],
)
def test_a_mistake_is_told(
    client: TestClient, fields: dict[str, str], status: int, kind: str, named: str
) -> None:
    answer = explained(client, **fields)
    assert answer.status_code == status
    assert answer.json()["type"].endswith(kind)
    assert named in answer.json()["detail"]


def test_bodies_of_another_kind(client: TestClient) -> None:
    unreadable = client.post("/v1/explanations", files={"image": b"no image"}, data={"id": "left"})
    assert (unreadable.status_code, unreadable.json()["type"]) == (422, "urn:hdhe:problem:unreadable-image")
    assert client.post("/v1/explanations", json={"id": "left"}).status_code == 422
    assert client.post("/v1/explanations", json={"query_id": "nothing", "id": "left"}).status_code == 404
    assert client.post("/v1/explanations", content=b"left").status_code == 415


def test_more_than_may_wait_are_refused_and_the_others_answered(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    explain = retrieval.explain.explain

    def held(*arguments: Any, **choices: Any) -> Any:
        assert let_go.wait(10)
        return explain(*arguments, **choices)

    monkeypatch.setattr(retrieval.explain, "explain", held)
    with ThreadPoolExecutor(2 * WAITING) as pool:
        asked = [pool.submit(explained, client) for _ in range(2 * WAITING)]
        refused = [future.result() for _, future in zip(range(WAITING), as_completed(asked), strict=False)]
        assert [answer.status_code for answer in refused] == [503] * WAITING
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        let_go.set()
        statuses = [future.result().status_code for future in asked]
    assert statuses.count(200) == WAITING
    assert explained(client).status_code == 200
