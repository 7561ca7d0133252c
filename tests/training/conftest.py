"""A photo folder and a recipe small enough to train on in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from tests.training.two_processes import TwoProcesses, two_processes
from training.commands import register
from training.recipe import Recipe
from training.recipe_file import load_recipe

COLOURS = {"amber": (230, 160, 30), "blue": (30, 60, 200), "cyan": (20, 200, 210), "dun": (120, 100, 60)}
IMAGES_A_CLASS = 13


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes told apart by colour, 13 images each; two of them train, two validate."""
    root = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(7)
    for label, colour in COLOURS.items():
        (root / label).mkdir()
        for number in range(IMAGES_A_CLASS):
            pixels = noise.integers(-25, 25, (40, 48, 3)) + np.array(colour)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / label / f"{number:02d}.png")
    return root


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


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoProcesses]:
    """Two processes that are started once for all tests that need them."""
    with two_processes(tmp_path_factory.mktemp("processes")) as processes:
        yield processes


@pytest.fixture
def recipe_text(photos: Path) -> str:
    return f"""
name: tiny
data: {{name: {photos}}}
network: {{backbone: mobilenet_v3_small, preset: hdhe, weights: none}}
images: {{pixels: 32}}
batch: 5
optimiser: {{lr: 1e-2, classifier_lr: 5e-2}}
schedule: {{epochs: 3}}
validation: {{split: validation, k: [1, 2]}}
"""


@pytest.fixture
def make_recipe(tmp_path: Path, recipe_text: str) -> Callable[..., Recipe]:
    """The tiny recipe with overrides, as the command line gives them."""
    file = tmp_path / "tiny.yaml"
    file.write_text(recipe_text)

    def make(*overrides: str) -> Recipe:
        return load_recipe(file, overrides)

    return make


@pytest.fixture
def app() -> typer.Typer:
    """The commands of training behind a front door of their own."""
    made = typer.Typer()
    register(made)
    made.callback()(lambda: None)
    return made
