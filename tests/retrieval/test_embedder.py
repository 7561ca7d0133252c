from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.embedder import Embedder, ImageSource
from retrieval.errors import ImageError, UserError
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.transforms import Preprocessing


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    torch.manual_seed(0)
    network = build_ensemble(
        EnsembleSpec("resnet18", "B3", (HeadSpec("res4_1", 1, "penultimate+"),)), weights=None
    )
    folder = tmp_path_factory.mktemp("model") / "bundle"
    save_bundle(folder, network, Preprocessing(32), recipe={}, scores=[], pretraining="none")
    return load_bundle(folder)


def photo(seed: int, size: tuple[int, int] = (50, 40)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_paths_bytes_and_images_give_the_same_embedding(bundle: Bundle, tmp_path: Path) -> None:
    image = photo(1)
    (tmp_path / "a.png").write_bytes(png(image))
    rows = Embedder(bundle).embed([tmp_path / "a.png", png(image), image])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


def test_rows_are_unit_vectors_in_the_order_of_the_images_whatever_the_batch_size(bundle: Bundle) -> None:
    images = [photo(seed) for seed in range(7)]
    alone = np.concatenate([Embedder(bundle).embed([image]) for image in images])
    together = Embedder(bundle, batch_size=3).embed(images)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_the_embedding_is_the_networks_own(bundle: Bundle) -> None:
    image = photo(3, (32, 32))
    mean, std = np.array(bundle.preprocessing.mean), np.array(bundle.preprocessing.std)
    tensor = torch.from_numpy(((np.asarray(image) / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    with torch.inference_mode():
        expected = bundle.network.embed(tensor).numpy()
    np.testing.assert_allclose(Embedder(bundle).embed([image]), expected, atol=1e-5)


def test_a_mirrored_image_has_the_same_embedding(bundle: Bundle) -> None:
    image = photo(4)
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    rows = Embedder(bundle).embed([image, mirrored])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


def test_an_unreadable_image_stops_or_is_reported_as_asked(bundle: Bundle) -> None:
    sources: list[ImageSource] = [photo(1), b"no image", photo(2)]
    embedder = Embedder(bundle)
    with pytest.raises(ImageError):
        embedder.embed(sources)
    reported: list[int] = []
    rows = embedder.embed(sources, on_error=lambda position, error: reported.append(position))
    assert reported == [1]
    assert not rows[1].any()
    np.testing.assert_allclose(rows[[0, 2]], embedder.embed([sources[0], sources[2]]), atol=1e-5)


def test_no_images_give_an_empty_array(bundle: Bundle) -> None:
    assert Embedder(bundle).embed([]).shape == (0, 512)


def test_many_threads_may_embed_at_once(bundle: Bundle) -> None:
    embedder = Embedder(bundle, batch_size=2)
    images = [photo(seed) for seed in range(5)]
    expected = embedder.embed(images)
    results: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    threads = [threading.Thread(target=lambda: results.append(embedder.embed(images))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_an_unknown_engine_names_those_there_are(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="one of torch"):
        Embedder(bundle, engine="abacus")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_nearly_the_same_embeddings(bundle: Bundle) -> None:
    images = [photo(seed) for seed in range(4)]
    on_gpu = Embedder(bundle).embed(images)
    tensor = bundle.preprocessing.normalise(np.stack([Embedder(bundle).prepare(image) for image in images]))
    with torch.inference_mode():
        on_cpu = bundle.network.cpu().embed(tensor).numpy()
    assert (on_gpu * on_cpu).sum(axis=1).min() > 0.999
