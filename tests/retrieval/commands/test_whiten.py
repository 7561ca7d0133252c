"""`hdhe whiten`: a model and labelled images make a model whose embedding is whitened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from retrieval.bundle import load_bundle
from retrieval.commands.whiten import whiten
from retrieval.datasets import open_dataset
from retrieval.embedder import Embedder
from retrieval.errors import UserError
from retrieval.networks.whitening import whitening_of
from tests.retrieval.engines.models import write_model

app = typer.Typer()
app.command()(whiten)
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command with a model of random weights and four classes of photos, two of them in the split `train`."""
    write_model(tmp_path / "model")
    noise = np.random.default_rng(0)
    for label in ("bowl", "cup", "jug", "vase"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        colour = noise.integers(40, 200, 3)
        for number in range(5):
            pixels = colour + noise.integers(-40, 40, (4, 4, 3)).repeat(10, 0).repeat(10, 1)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / label / f"{number}.png")

    def command(*arguments: object) -> str:
        fixed = ["--model", tmp_path / "model", "--data", tmp_path / "photos", "--out", tmp_path / "new"]
        asked = [str(argument) for argument in (*fixed, *arguments)]
        result = CliRunner().invoke(app, asked, catch_exceptions=True)
        if result.exception is not None:
            raise result.exception
        return result.output

    return command


def test_the_new_model_is_whitened_by_the_training_images(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "photos" / "bowl" / "9.png"
    broken.write_bytes((tmp_path / "photos" / "bowl" / "0.png").read_bytes()[:-60])
    said = run("--size", 6)
    assert "embeddings of 6 numbers, whitened by 10 images of 2 classes" in said
    old, new = load_bundle(tmp_path / "model"), load_bundle(tmp_path / "new")
    assert new.fingerprint != old.fingerprint
    assert new.recipe["whitened_by"]["split"] == "train"
    subset = open_dataset(str(tmp_path / "photos")).subset("train")
    kept = np.array([path != broken for path in subset.paths])
    rows = Embedder(old).embed([path for path in subset.paths if path != broken])
    mean, matrix = whitening_of(rows, subset.labels[kept], 6)
    expected = (rows - mean) @ matrix.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = Embedder(new).embed([path for path in subset.paths if path != broken])
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_a_whitened_model_is_whitened_from_its_bare_embedding(run: Run, tmp_path: Path) -> None:
    run("--size", 6)
    run("--model", tmp_path / "new", "--out", tmp_path / "again", "--split", "all")
    run("--out", tmp_path / "at once", "--split", "all")
    again, at_once = load_bundle(tmp_path / "again"), load_bundle(tmp_path / "at once")
    assert again.embedding_size == load_bundle(tmp_path / "model").embedding_size
    assert again.fingerprint == at_once.fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", 100_000], "whitened must be 1 to"),
        (["--split", "nowhere"], "has no split 'nowhere'"),
        (["--model", "nothing"], "nothing is not a model bundle"),
        (["--out", "{there}"], "is there already; give --out a new folder"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, tmp_path: Path, arguments: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(*(tmp_path / "model" if argument == "{there}" else argument for argument in arguments))
    assert not (tmp_path / "new").exists()


def test_an_image_a_class_says_nothing(run: Run, tmp_path: Path) -> None:
    for path in sorted((tmp_path / "photos").rglob("[1-9].png")):
        path.unlink()
    with pytest.raises(UserError, match="whitening needs classes of two or more different images"):
        run()
