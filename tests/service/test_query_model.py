"""A service whose queries are embedded by another model than its items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from retrieval.embedder import Embedder
from retrieval.gallery import Gallery
from retrieval.transforms import Preprocessing
from service.app import create_app
from service.backend import Backend
from service.settings import Settings
from tests.service.conftest import FINGERPRINT, ColourEmbedder

Picture = Callable[..., bytes]

STUDENT = "e" * 64


class SwappingEmbedder(ColourEmbedder):
    """Takes red for blue and blue for red, so that it is seen which model embedded what; and sees other pixels."""

    fingerprint = STUDENT

    def __init__(self) -> None:
        super().__init__()
        self.bundle.fingerprint = STUDENT
        self.bundle.preprocessing = Preprocessing(pixels=8)
        self.batches: list[tuple[int, ...]] = []

    def embed_prepared(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(images.shape)
        return super().embed_prepared(images[..., ::-1])


@pytest.fixture
def student() -> SwappingEmbedder:
    return SwappingEmbedder()


@pytest.fixture
def asymmetric(gallery: Gallery, student: SwappingEmbedder, settings: Settings) -> Iterator[TestClient]:
    """Holds a red and a blue item."""
    both = replace(gallery, query_embedder=cast("Embedder", student))
    with TestClient(create_app(both, settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def stocked(asymmetric: TestClient, picture: Picture) -> TestClient:
    assert asymmetric.put("/v1/items/red", files={"image": picture("red")}).status_code == 201
    files = [("image", ("x", picture("blue"))), ("image", ("x", picture("green")))]
    answer = asymmetric.post("/v1/items", files=files, data={"id": ["blue", "green"]})
    assert answer.json()["created"] == 2
    return asymmetric


def best(client: TestClient, **asked: object) -> tuple[str, float]:
    answer = client.post("/v1/search", **asked)  # type: ignore[arg-type]  # passed through as they come
    assert answer.status_code == 200, answer.text
    hit = answer.json()["hits"][0]
    return hit["id"], hit["score"]


def test_items_are_embedded_by_the_collections_own_model(stocked: TestClient, gallery: Gallery) -> None:
    (vector,) = gallery.collection.vectors(["red"])
    expected = np.array([1, 0, 0, 0.1]) / np.sqrt(1.01)
    np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_images_ask_through_the_other_model(
    stocked: TestClient, student: SwappingEmbedder, picture: Picture
) -> None:
    id, score = best(stocked, files={"image": picture("red")})
    assert id == "blue"
    assert score == pytest.approx(1, abs=1e-5)
    assert student.batches == [(1, 8, 8, 3)]


def test_items_and_vectors_ask_without_any_model(stocked: TestClient, student: SwappingEmbedder) -> None:
    assert best(stocked, json={"vector": [1, 0, 0, 0.1]})[0] == "red"
    # The item itself is left out, by its id.
    hits = stocked.post("/v1/search", json={"id": "red", "k": 3}).json()["hits"]
    assert {hit["id"] for hit in hits} == {"blue", "green"}
    assert student.batches == []


def test_embeddings_are_those_of_queries_and_say_whose(stocked: TestClient, picture: Picture) -> None:
    answer = stocked.post("/v1/embeddings", files={"image": picture("red")}).json()
    assert answer["model"] == STUDENT
    assert best(stocked, json={"vector": answer["embeddings"][0]})[0] == "blue"


def test_both_models_are_described(asymmetric: TestClient) -> None:
    answer = asymmetric.get("/v1/model").json()
    assert (answer["fingerprint"], answer["pixels"]) == (FINGERPRINT, 16)
    assert answer["query_model"] == {
        "fingerprint": STUDENT,
        "backbone": "colours",
        "heads": 1,
        "embedding_size": 4,
        "pixels": 8,
        "mirror": False,
        "pretraining": "none",
        "engine": "mean colours (float32)",
    }
    assert asymmetric.get("/v1/stats").json()["model"] == FINGERPRINT


def test_both_networks_are_warmed_up_and_share_their_thread(
    gallery: Gallery, student: SwappingEmbedder, settings: Settings
) -> None:
    backend = Backend(replace(gallery, query_embedder=cast("Embedder", student)), settings)
    backend.warm_up()
    assert student.batches == [(1, 8, 8, 3)]
    backend.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        backend.query_embedding.warm_up()
