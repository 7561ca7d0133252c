"""Models exported for ONNX Runtime and OpenVINO: the same embeddings, and what happens to a file that is not right."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from retrieval.bundle import Bundle, load_bundle
from retrieval.engines import EXPORTED, Engine, copy_exports, make_engine
from retrieval.engines import export as exporting
from retrieval.engines.export import export
from retrieval.engines.exported import RECORD, export_folder, read_exported
from retrieval.engines.onnx_engine import OnnxEngine
from retrieval.engines.openvino_engine import OpenVinoEngine
from retrieval.engines.torch_engine import TorchEngine
from retrieval.errors import BundleError
from retrieval.networks import BACKBONES, PRESETS, EnsembleSpec, preset_spec
from tests.retrieval.engines.models import IMAGES, TINY, needs_onnx, needs_openvino, patterns, write_model

both = pytest.mark.parametrize(
    "engine", [pytest.param("onnx", marks=needs_onnx), pytest.param("openvino", marks=needs_openvino)]
)


@pytest.fixture
def copy(exported: dict[str, Bundle], engine: str, tmp_path: Path) -> Path:
    """A bundle with its export, to be damaged."""
    folder = exported[engine].folder
    assert folder is not None
    return shutil.copytree(folder, tmp_path / "bundle")


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


@needs_onnx
def test_an_engine_that_does_not_agree_is_not_written(
    exported: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that writes another model stands for any mistake of a library."""
    bundle = write_model(tmp_path / "bundle", seed=1)
    monkeypatch.setitem(exporting._WRITERS, "onnx", writes_what_is_in(exported["onnx"]))
    with pytest.raises(BundleError, match=r"does not give this model's embeddings.*nothing was written"):
        export(bundle, "onnx", IMAGES, images_of="patterns")
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == [
        "model.json",
        "weights.safetensors",
    ]


def test_where_bfloat16_is_not_close_enough_float32_is_taken_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_model(tmp_path / "bundle")
    asked: list[str | None] = []

    class Precise(TorchEngine):
        name = "openvino"

        def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            rows = super().embed(images)
            rows[:, 0] += 0.2 * (self.precision == "bfloat16")
            result: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            return result

    def opened(name: str, folder: Path, precision: str | None = None) -> Engine:
        asked.append(precision)
        engine = Precise(bundle)
        engine.precision = precision or "bfloat16"
        return engine

    monkeypatch.setitem(exporting._WRITERS, "openvino", lambda _, folder: (folder / "x").write_text("x"))
    monkeypatch.setattr(exporting, "open_exported", opened)
    monkeypatch.setattr("retrieval.engines.engine.open_exported", opened)
    exported = export(bundle, "openvino", IMAGES, images_of="patterns")
    assert exported.precision == "float32"
    assert exported.cosine_min > 0.999
    assert list(exported.refused) == ["bfloat16"]
    assert 0.9 < exported.refused["bfloat16"] < 0.999
    make_engine("openvino", bundle)
    assert asked == [None, "float32", "float32"]


@needs_onnx
@pytest.mark.parametrize("engine", ["onnx"])
def test_an_export_replaces_the_one_before_or_leaves_it(
    exported: dict[str, Bundle], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(copy)
    record = (copy / "onnx" / RECORD).read_text()

    def fail(model: Bundle, folder: Path) -> None:
        (folder / "network.onnx").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(exporting._WRITERS, "onnx", fail)
    with pytest.raises(BundleError, match=r"cannot be written: .*No space"):
        export(bundle, "onnx", IMAGES, images_of="patterns")
    assert (copy / "onnx" / RECORD).read_text() == record
    make_engine("onnx", bundle)

    (copy / "onnx" / "network.onnx").write_bytes(b"damaged")
    monkeypatch.setitem(exporting._WRITERS, "onnx", writes_what_is_in(exported["onnx"]))
    export(bundle, "onnx", IMAGES, images_of="more patterns")
    assert read_exported(bundle, "onnx").images_of == "more patterns"
    make_engine("onnx", bundle)
    assert sorted(path.name for path in copy.iterdir()) == ["model.json", "onnx", "weights.safetensors"]


def writes_what_is_in(bundle: Bundle) -> Callable[[Bundle, Path], None]:
    source = export_folder(bundle, "onnx") / "network.onnx"

    def write(_: Bundle, folder: Path) -> None:
        shutil.copy(source, folder)

    return write


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


@pytest.mark.slow
@both
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone(engine: str, backbone: str, tmp_path: Path) -> None:
    bundle = write_model(tmp_path / "bundle", preset_spec("hdhe", backbone), pixels=64)
    export(bundle, engine, patterns(3, 64), images_of="patterns")


@pytest.mark.slow
@both
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset(engine: str, preset: str, tmp_path: Path) -> None:
    bundle = write_model(tmp_path / "bundle", preset_spec(preset, "mobilenet_v2"), pixels=64)
    export(bundle, engine, patterns(3, 64), images_of="patterns")
