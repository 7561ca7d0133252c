"""Models exported for ONNX Runtime and OpenVINO: the same embeddings, and what happens to a file that is not right."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.embedder import Embedder
from retrieval.engines import EXPORTED, copy_exports, make_engine
from retrieval.engines.export import export
from retrieval.engines.exported import RECORD, read_exported
from retrieval.engines.onnx_engine import OnnxEngine
from retrieval.engines.openvino_engine import OpenVinoEngine
from retrieval.errors import BundleError
from retrieval.networks import EnsembleSpec
from retrieval.networks.ensemble import with_whitening
from tests.retrieval.engines.models import IMAGES, TINY, both, needs_onnx, patterns, write_model


def directly(bundle: Bundle, *, mirror: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The embeddings of IMAGES by the network itself, one image and one view at a time, in float64."""
    network, preprocessing = bundle.network.double(), bundle.preprocessing
    rows = []
    for image in IMAGES:
        pixels = torch.from_numpy(image / 255 - np.array(preprocessing.mean)) / torch.tensor(
            preprocessing.std
        )
        views = [pixels.permute(2, 0, 1), pixels.permute(2, 0, 1).flip(-1)][: 1 + mirror]
        with torch.inference_mode():
            features = [network(view[None].double()) for view in views]
        parts = [torch.cat([f / f.norm() for f in view], dim=1) for view in features]
        rows.append((sum(parts) / torch.linalg.vector_norm(sum(parts))).numpy())
    network.float()
    return np.concatenate(rows).astype(np.float32)


@both
def test_any_number_of_images_gives_the_networks_own_embeddings(
    exported: dict[str, Bundle], engine: str
) -> None:
    bundle = exported[engine]
    made = make_engine(engine, bundle)
    expected = directly(bundle, mirror=True)
    for count in (1, 3, 5, 1):
        found = made.embed(IMAGES[:count])
        assert found.dtype == np.float32
        assert (found * expected[:count]).sum(axis=1).min() > 0.9995
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
    assert made.name == engine
    # The images differ by more than the engines do.
    assert (expected[0] * expected[-1]).sum() < 0.98


@needs_onnx
def test_float32_is_as_close_as_float32_is(exported: dict[str, Bundle]) -> None:
    found = make_engine("onnx", exported["onnx"]).embed(IMAGES)
    np.testing.assert_allclose(found, directly(exported["onnx"], mirror=True), atol=1e-5)


@both
def test_what_was_found_is_written_down_and_the_bundle_stays_as_it_was(
    exported: dict[str, Bundle], engine: str
) -> None:
    bundle = exported[engine]
    assert bundle.folder is not None
    found = read_exported(bundle, engine)
    assert (found.engine, found.fingerprint, found.images, found.images_of) == (
        engine,
        bundle.fingerprint,
        5,
        "patterns",
    )
    assert 0.999 <= found.cosine_min <= found.cosine_mean <= 1 + 1e-6
    assert found.versions["torch"] == torch.__version__.split("+")[0]
    assert sorted(path.name for path in bundle.folder.iterdir()) == sorted(
        ["model.json", "weights.safetensors", engine]
    )
    assert load_bundle(bundle.folder).fingerprint == bundle.fingerprint


@both
def test_a_whitened_model_is_exported_with_its_whitening(engine: str, tmp_path: Path) -> None:
    plain = write_model(tmp_path / "plain")
    network = with_whitening(plain.network, 12)
    assert network.whitening is not None
    network.whitening.fit(Embedder(plain).embed_prepared(patterns(16)), np.arange(16) // 4)
    save_bundle(tmp_path / "bundle", network, plain.preprocessing, recipe={}, scores=[], pretraining="none")
    bundle = load_bundle(tmp_path / "bundle")
    found = export(bundle, engine, IMAGES, images_of="patterns")
    assert found.cosine_min > 0.999
    rows = make_engine(engine, bundle).embed(IMAGES)
    assert rows.shape == (len(IMAGES), 12)
    expected = (
        directly(plain, mirror=True) - network.whitening.mean.numpy()
    ) @ network.whitening.matrix.numpy().T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert (rows * expected).sum(axis=1).min() > 0.999


@pytest.mark.slow
@both
def test_a_model_without_the_mirrored_view_is_exported_without_it(engine: str, tmp_path: Path) -> None:
    spec = EnsembleSpec(TINY.backbone, TINY.share_until, TINY.heads, mirror=False)
    bundle = write_model(tmp_path / "bundle", spec)
    assert not export(bundle, engine, IMAGES, images_of="patterns").mirror
    found = make_engine(engine, bundle).embed(IMAGES)
    assert (found * directly(bundle, mirror=False)).sum(axis=1).min() > 0.9995


def again(copy: Path, engine: str, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        make_engine(engine, load_bundle(copy))
    assert "\n" not in str(caught.value)
    assert f"hdhe export --model {copy} --engine {engine}" in str(caught.value)


@both
def test_a_model_that_is_not_exported_says_how(engine: str, tmp_path: Path) -> None:
    write_model(tmp_path / "bundle")
    again(tmp_path / "bundle", engine, "is not exported")


@both
def test_a_damaged_file_says_to_export_again(copy: Path, engine: str) -> None:
    largest = max((copy / engine).iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    again(copy, engine, "is damaged")
    largest.unlink()
    again(copy, engine, "lacks")


@both
def test_a_file_that_the_installed_library_cannot_read(copy: Path, engine: str) -> None:
    """As one of a later version would be: whole, and of these weights."""
    document = json.loads((copy / engine / RECORD).read_text())
    for name in document["files"]:
        (copy / engine / name).write_bytes(b"of a later version")
        document["files"][name] = hashlib.sha256(b"of a later version").hexdigest()
    (copy / engine / RECORD).write_text(json.dumps(document))
    with pytest.raises(BundleError, match="cannot be read by the library that is installed") as caught:
        make_engine(engine, load_bundle(copy))
    assert "\n" not in str(caught.value)


@both
def test_it_takes_as_many_threads_as_torch(
    exported: dict[str, Bundle], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    made = make_engine(engine, exported[engine])
    if isinstance(made, OpenVinoEngine):
        assert made._network.get_property("INFERENCE_NUM_THREADS") == 1
    else:
        assert isinstance(made, OnnxEngine)
        assert made._session.get_session_options().intra_op_num_threads == 1


@both
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 7}', '{"format": 1, "engine": "onnx"}'])
def test_a_record_that_says_nothing_useful(copy: Path, engine: str, content: str) -> None:
    (copy / engine / RECORD).write_text(content)
    again(copy, engine, "is damaged|of another version")


@both
def test_an_export_of_other_weights_is_refused(copy: Path, engine: str, tmp_path: Path) -> None:
    write_model(tmp_path / "other", seed=1)
    (copy / engine).rename(tmp_path / "other" / engine)
    again(tmp_path / "other", engine, "of other weights")


@both
def test_another_view_than_was_exported_is_refused(exported: dict[str, Bundle], engine: str) -> None:
    folder = exported[engine].folder
    assert folder is not None
    bundle = load_bundle(folder)
    bundle.network.spec = EnsembleSpec(TINY.backbone, TINY.share_until, TINY.heads, mirror=False)
    with pytest.raises(BundleError, match="not exported without the mirrored view"):
        make_engine(engine, bundle)


def test_a_model_in_no_folder_cannot_be_exported() -> None:
    with pytest.raises(BundleError, match="in no folder"):
        make_engine("onnx", load_bundle("single:efficientnet_lite0@32"))


@both
def test_good_exports_go_with_a_copy_of_the_bundle_and_others_stay(
    copy: Path, engine: str, tmp_path: Path
) -> None:
    bundle = load_bundle(copy)
    for name in ("first", "second"):
        write_model(tmp_path / name)
    copy_exports(bundle, tmp_path / "first")
    expected = make_engine(engine, bundle).embed(IMAGES)
    found = make_engine(engine, load_bundle(tmp_path / "first")).embed(IMAGES)
    np.testing.assert_array_equal(found, expected)

    document = json.loads((copy / engine / RECORD).read_text())
    (copy / engine / RECORD).write_text(json.dumps(document | {"fingerprint": "0" * 64}))
    copy_exports(bundle, tmp_path / "second")
    assert not any((tmp_path / "second" / name).exists() for name in EXPORTED)
