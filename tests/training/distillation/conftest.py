"""Recipes small enough to distil in seconds."""

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


@pytest.fixture
def make_distillation(tmp_path: Path, labelled: Path) -> Callable[..., DistillationRecipe]:
    """The tiny recipe with overrides, as the command line gives them."""
    file = tmp_path / "tiny.yaml"
    file.write_text(BASE.format(data=labelled))

    def make(*overrides: str) -> DistillationRecipe:
        return load_recipe_of(DistillationRecipe, file, overrides)

    return make
