"""Every backbone and every preset can be exported; an export compares itself with torch and fails where it differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.engines.export import export
from retrieval.networks import BACKBONES, PRESETS, preset_spec
from tests.retrieval.engines.models import both, patterns, write_model


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
