from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retrieval.bundle import Bundle
from retrieval.engines.export import export
from tests.retrieval.engines.models import IMAGES, needs_onnx, needs_openvino, write_model


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """The tiny model, exported for each engine once."""
    made: dict[str, Bundle] = {}
    for engine, mark in (("onnx", needs_onnx), ("openvino", needs_openvino)):
        if not mark.args[0]:
            made[engine] = write_model(tmp_path_factory.mktemp(engine) / "bundle")
            export(made[engine], engine, IMAGES, images_of="patterns")
    return made


@pytest.fixture
def copy(exported: dict[str, Bundle], engine: str, tmp_path: Path) -> Path:
    """A bundle with its export, to be damaged."""
    folder = exported[engine].folder
    assert folder is not None
    return shutil.copytree(folder, tmp_path / "bundle")
