"""A service over a real collection, with an embedder that is quick and can be checked by hand."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from indexes.local_collection import LocalCollection
from retrieval.embedder import Embedder
from retrieval.gallery import Gallery
from retrieval.networks import HeadSpec
from retrieval.transforms import Preprocessing
from service.app import create_app
from service.settings import Settings

PIXELS = 16
FINGERPRINT = "f" * 64


class ColourEmbedder:
    """Embeds an image as its mean colour and a constant, normalised: the more alike in colour, the nearer."""

    embedding_size = 4
    fingerprint = FINGERPRINT
    engine = "mean colours (float32)"

    def __init__(self) -> None:
        spec = SimpleNamespace(backbone="colours", heads=(HeadSpec(),), mirror=False)
        self.bundle = SimpleNamespace(
            network=SimpleNamespace(spec=spec),
            preprocessing=Preprocessing(pixels=PIXELS),
            fingerprint=FINGERPRINT,
            embedding_size=self.embedding_size,
            pretraining="none",
        )

    def embed_prepared(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] -> float32[n, 4]."""
        means = images.reshape(len(images), -1, 3).mean(1) / 255
        vectors = np.concatenate([means, np.full((len(images), 1), 0.1)], 1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors.astype(np.float32)
        return unit


Picture = Callable[..., bytes]


@pytest.fixture
def picture() -> Picture:
    """An image file of one colour."""

    def draw(
        colour: tuple[int, int, int] | str, size: tuple[int, int] = (24, 20), format: str = "PNG"
    ) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", size, colour).save(buffer, format)
        return buffer.getvalue()

    return draw


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    collection = LocalCollection.create(
        tmp_path / "collection", embedding_size=ColourEmbedder.embedding_size, model_fingerprint=FINGERPRINT
    )
    with Gallery(tmp_path / "collection", collection, cast("Embedder", ColourEmbedder())) as opened:
        yield opened


@pytest.fixture
def settings() -> Settings:
    return Settings(max_image_bytes=100_000, max_request_bytes=400_000, max_request_images=20, max_k=50)


@pytest.fixture
def client(gallery: Gallery, settings: Settings) -> Iterator[TestClient]:
    # A failure of the server is an answer to be looked at here, not an exception of the test.
    with TestClient(create_app(gallery, settings), raise_server_exceptions=False) as opened:
        yield opened


Put = Callable[..., None]


@pytest.fixture
def put(client: TestClient, picture: Picture) -> Put:
    """Store a picture of one colour."""

    def store(id: str, colour: tuple[int, int, int] | str, **fields: str) -> None:
        answer = client.put(f"/v1/items/{id}", files={"image": picture(colour)}, data=fields)
        assert answer.status_code in (200, 201), answer.text

    return store
