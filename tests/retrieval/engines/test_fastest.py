"""`auto`: what is chosen, when it is measured, and where the answer is kept."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.bundle import Bundle, load_bundle
from retrieval.engines import Engine, fastest, make_engine
from retrieval.engines.torch_engine import TorchEngine
from tests.retrieval.engines.models import IMAGES, needs_onnx, write_model


class Slowed(TorchEngine):
    """Torch, later by some milliseconds, and off by some angle."""

    def __init__(self, bundle: Bundle, name: str, seconds: float, *, off: float = 0.0) -> None:
        super().__init__(bundle)
        self.name = name
        self._seconds, self._off = seconds, off

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(self._seconds)
        rows = super().embed(images)
        rows[:, 0] += self._off
        result: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return result


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_model(tmp_path / "bundle")


def test_the_fastest_of_those_that_agree_is_found(bundle: Bundle) -> None:
    engines: dict[str, Engine] = {
        "torch": Slowed(bundle, "torch", 0.3),
        "onnx": Slowed(bundle, "onnx", 0.15),
        "openvino": Slowed(bundle, "openvino", 0, off=0.5),
    }
    milliseconds = fastest.compare(engines, bundle, IMAGES)
    assert list(milliseconds) == ["torch", "onnx"]
    assert 150 < milliseconds["onnx"] < milliseconds["torch"]


@needs_onnx
def test_what_was_measured_is_remembered_until_something_changes(
    exported: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = exported["onnx"].folder
    assert source is not None
    folder = shutil.copytree(source, tmp_path / "bundle")
    bundle = load_bundle(folder)
    measured: list[set[str]] = []

    def measure(engines: dict[str, object], *_: object) -> dict[str, float]:
        measured.append(set(engines))
        return {"torch": 2.0, "onnx": 1.0}

    monkeypatch.setattr(fastest, "compare", measure)
    monkeypatch.setattr(fastest, "can_bfloat16", lambda: False)
    assert make_engine("auto", bundle).name == "onnx"
    assert make_engine("auto", bundle).name == "onnx"
    assert len(measured) == 1
    assert measured[0] == {"torch", "onnx"}
    document = json.loads((folder / "fastest.json").read_text())
    assert (document["engine"], document["milliseconds"]) == ("onnx", {"torch": 2.0, "onnx": 1.0})
    assert load_bundle(folder).fingerprint == bundle.fingerprint

    changes: tuple[dict[str, object], ...] = (
        {"processor": "another"},
        {"threads": 99},
        {"engines": {}},
        {"engine": "abacus"},
    )
    for changed in changes:
        (folder / "fastest.json").write_text(json.dumps(document | changed))
        assert make_engine("auto", bundle).name == "onnx"
    (folder / "fastest.json").write_text("damaged")
    assert make_engine("auto", bundle).name == "onnx"
    assert len(measured) == 6
    assert json.loads((folder / "fastest.json").read_text()) == document


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle.folder is not None
    # Two engines to choose from, also where the processor has only one.
    monkeypatch.setattr(fastest, "can_bfloat16", lambda: True)
    monkeypatch.setattr(fastest, "make_engine", lambda _, bundle: make_engine("torch", bundle))
    monkeypatch.setattr(fastest, "compare", lambda *_: {"torch": 1.0})

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fastest, "replacing", refuse)
    assert make_engine("auto", bundle).name == "torch"
    assert sorted(path.name for path in bundle.folder.iterdir()) == ["model.json", "weights.safetensors"]


def test_a_model_in_no_folder_is_run_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "can_bfloat16", lambda: False)
    assert make_engine("auto", load_bundle("single:efficientnet_lite0@32")).name == "torch"
