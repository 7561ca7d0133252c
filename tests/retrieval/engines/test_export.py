"""What `export` writes, and what it refuses to write."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.bundle import Bundle, load_bundle
from retrieval.engines import Engine, make_engine
from retrieval.engines import export as exporting
from retrieval.engines.export import export
from retrieval.engines.exported import RECORD, export_folder, read_exported
from retrieval.engines.torch_engine import TorchEngine
from retrieval.errors import BundleError
from tests.retrieval.engines.models import IMAGES, needs_onnx, write_model


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
