"""POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fastapi.testclient import TestClient

from retrieval.gallery import Gallery

Picture = Callable[..., bytes]


def test_embeddings_come_in_order_and_normalised(
    client: TestClient, picture: Picture, gallery: Gallery
) -> None:
    colours = [(20 * number, 0, 200 - 20 * number) for number in range(10)]
    answer = client.post("/v1/embeddings", files=[("image", ("x", picture(colour))) for colour in colours])
    assert answer.status_code == 200
    assert answer.json()["model"] == gallery.embedder.fingerprint
    expected = np.array([[*np.array(colour) / 255, 0.1] for colour in colours])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(answer.json()["embeddings"], expected, atol=1e-6)
    assert client.get("/v1/stats").json()["items"] == 0


def test_an_embedding_searches_like_its_image(client: TestClient, picture: Picture) -> None:
    for name in ("red", "orange", "green", "blue"):
        client.put(f"/v1/items/{name}", files={"image": picture(name)})
    image = {"image": picture((200, 150, 30))}
    (vector,) = client.post("/v1/embeddings", files=image).json()["embeddings"]
    by_image = client.post("/v1/search", files=image).json()["hits"]
    by_vector = client.post("/v1/search", json={"vector": vector}).json()["hits"]
    assert [hit["id"] for hit in by_image] == [hit["id"] for hit in by_vector]
    np.testing.assert_allclose(
        [hit["score"] for hit in by_image], [hit["score"] for hit in by_vector], atol=1e-6
    )


def test_a_bad_image_is_named_by_its_place(client: TestClient, picture: Picture) -> None:
    files = [("image", ("a", picture("red"))), ("image", ("b", b"nothing")), ("image", ("c", b""))]
    answer = client.post("/v1/embeddings", files=files)
    assert answer.status_code == 422
    assert "image 2 of 3" in answer.json()["detail"]
