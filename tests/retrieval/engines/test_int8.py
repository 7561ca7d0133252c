"""8-bit OpenVINO: offered where it retrieves as well as float32, and refused where it does not."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import hdhe
from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.datasets import ImageDataset, open_dataset
from retrieval.embedder import Embedder
from retrieval.engines import int8, make_engine
from retrieval.engines.int8 import compared_recall, export_int8
from retrieval.errors import BundleError
from retrieval.whitening import whiten
from tests.retrieval.engines.models import needs_openvino, patterns, write_model

needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="the extra `int8` is not installed")

CLASSES, PHOTOS = 4, 6


def write_photos(folder: Path) -> Path:
    """Noisy photos of a few patterns, which any network tells apart. Every other class is the validation split."""
    noise = np.random.default_rng(1)
    for number, pattern in enumerate(patterns(CLASSES)):
        for photo in range(PHOTOS):
            pixels = pattern.astype(int) + noise.integers(-20, 21, pattern.shape)
            path = folder / f"class-{number}" / f"{photo}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> ImageDataset:
    return open_dataset(str(write_photos(tmp_path / "photos")))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_model(tmp_path / "bundle")


class ByBrightness:
    """An engine that retrieves badly: all it sees is how bright an image is, and bright is opposite to dark."""

    name, precision = "openvino-int8", "float32"

    def __init__(self, size: int) -> None:
        self._size = size

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = np.zeros((len(images), self._size), np.float32)
        angle = np.deg2rad(images.mean(axis=(1, 2, 3)).astype(int) % 2 * 180)
        rows[:, 0], rows[:, 1] = np.cos(angle), np.sin(angle)
        return rows


def refuse(line: str) -> None:
    raise AssertionError(line)


def test_recall_is_compared_among_ones_own_and_among_the_references_embeddings(
    bundle: Bundle, dataset: ImageDataset
) -> None:
    reference = Embedder(bundle)
    same = compared_recall(dataset, reference, Embedder(bundle), refuse)
    assert same == {
        "float32": 1.0,
        "int8": 1.0,
        "int8 in float32": 1.0,
        "queries": len(dataset.subset(dataset.default_split)),
    }
    other = Embedder(bundle, engine=ByBrightness(bundle.embedding_size))
    found = compared_recall(dataset, reference, other, refuse)
    assert found["float32"] == 1.0
    assert found["int8"] < 0.99
    assert found["int8 in float32"] < 0.99


def test_one_that_retrieves_worse_is_not_written(
    bundle: Bundle, dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.engines.openvino_engine.read", lambda *_: None)
    monkeypatch.setattr("retrieval.engines.openvino_engine.save", lambda *_: None)
    monkeypatch.setattr(int8, "quantised", lambda *_: None)
    monkeypatch.setattr(int8, "open_exported", lambda *_: ByBrightness(bundle.embedding_size))
    with pytest.raises(
        BundleError,
        match=r"loses [0-9.]+ points of Recall@1 on the [0-9]+ queries of photos.*nothing was written",
    ):
        export_int8(bundle, dataset, images_of="photos", report=refuse)
    assert bundle.folder is not None
    assert sorted(path.name for path in bundle.folder.iterdir()) == ["model.json", "weights.safetensors"]


@pytest.mark.slow
@needs_openvino
@needs_nncf
@pytest.mark.parametrize("whitened", [False, True])
def test_a_quantised_model_retrieves_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whitened: bool
) -> None:
    bundle = write_model(tmp_path / "bundle")
    photos = open_dataset(str(write_photos(tmp_path / "photos")))
    if whitened:
        network, _ = whiten(bundle, photos.subset("train"), None, report=refuse)
        save_bundle(
            tmp_path / "bundle", network, bundle.preprocessing, recipe={}, scores=[], pretraining="none"
        )
    monkeypatch.chdir(tmp_path)
    arguments = ["export", "--model", "bundle", "--engine", "openvino-int8", "--images", "photos", "--json"]
    monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
    with pytest.raises(SystemExit) as stopped:
        hdhe.main()
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["recall"]["int8"] == said["recall"]["float32"] == 1
    # It is another network than that of float32, and not by much.
    assert 0.9 < said["cosine_min"] < 0.99999
    rows = make_engine("openvino-int8", load_bundle(tmp_path / "bundle")).embed(patterns(3))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
