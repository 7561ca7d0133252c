"""A classification set and recipes small enough to distil in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training.distillation.recipe import DistillationRecipe
from training.recipe_file import load_recipe_of

BASE = """
name: tiny
data: {{name: {data}}}
student: {{network: wrn-10-1}}
images: {{pixels: 32, pad: {{pixels: 2}}}}
batch: 8
optimiser: {{lr: 0.05, classifier_lr: 0.05}}
schedule: {{epochs: 2}}
score: {{split: test}}
"""


@pytest.fixture(scope="session")
def labelled(photos: Path) -> Path:
    """The four colours of `photos` as a set for classification: nine images a class to train on, four to score."""
    lines = ["path,label,split"]
    for image in sorted(photos.rglob("*.png")):
        split = "train" if int(image.stem) < 9 else "test"
        lines.append(f"{image.relative_to(photos)},{image.parent.name},{split}")
    manifest = photos / "labelled.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture
def make_distillation(tmp_path: Path, labelled: Path) -> Callable[..., DistillationRecipe]:
    """The tiny recipe with overrides, as the command line gives them."""
    file = tmp_path / "tiny.yaml"
    file.write_text(BASE.format(data=labelled))

    def make(*overrides: str) -> DistillationRecipe:
        return load_recipe_of(DistillationRecipe, file, overrides)

    return make
