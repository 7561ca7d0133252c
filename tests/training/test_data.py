"""The images of a run, and what is said of those that it goes on without."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from training.data import open_subsets
from training.distillation.data import open_parts
from training.distillation.recipe import DistillationRecipe
from training.recipe import Recipe


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("cup/1.png", "cup/2.png", "jug/1.png", "jug/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    (folder / "cup" / "bad.png").write_bytes(b"no image at all")
    (folder / "jug" / "void.png").touch()
    return folder


@pytest.mark.parametrize("kind", ["train", "distill"])
def test_what_is_left_out_is_named_as_by_every_command(photos: Path, kind: str) -> None:
    lines: list[str] = []
    values = {"name": "x", "data": {"name": str(photos), "split": "all"}, "batch": 4}
    if kind == "train":
        training, _ = open_subsets(Recipe.model_validate(values), lines.append)
    else:
        values |= {"student": {"preset": "single", "backbone": "efficientnet_lite0"}}
        training, _ = open_parts(DistillationRecipe.model_validate(values), lines.append)
    assert len(training) == 4
    bad, void = photos / "cup" / "bad.png", photos / "jug" / "void.png"
    assert lines == [
        f"hdhe: left out: {void}: is empty (0 bytes)",
        f"hdhe: left out: {bad} is not an image of a known format (JPEG, PNG, WebP, GIF, TIFF, BMP)",
    ]
