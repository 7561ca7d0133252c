"""Runs that end with a whitening: it is that of the trained network's own embeddings, and what is scored has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval.bundle import Bundle, load_bundle
from retrieval.datasets import open_dataset
from retrieval.embedder import Embedder
from retrieval.errors import UserError
from retrieval.networks.whitening import whitening_of
from retrieval.recall import leave_one_out
from training.distillation.loop import distill
from training.distillation.recipe import DistillationRecipe
from training.loop import train
from training.recipe import Recipe
from training.recipe_file import load_recipe_of

SIZE = 24
STUDENT = """
name: tiny
data: {{name: {photos}, split: train}}
teacher: {{model: {teacher}}}
student: {{backbone: mobilenet_v3_small, preset: single, weights: none, mirror: false}}
images: {{pixels: 32}}
batch: 8
inherit: true
terms: [{{method: relations}}]
schedule: {{epochs: 1}}
score: {{split: validation, k: [1]}}
"""


def check(plain: Bundle, whitened: Bundle, photos: Path) -> None:
    """Two runs of one seed, of which the second ends with a whitening."""
    found = whitened.network.whitening
    assert found is not None
    assert whitened.embedding_size == SIZE
    theirs = whitened.network.state_dict()
    for name, tensor in plain.network.state_dict().items():
        assert theirs[name].equal(tensor)
    data = open_dataset(str(photos))
    training, validation = data.subset("train"), data.subset("validation")
    embeddings = Embedder(plain).embed(training.paths)
    mean, matrix = whitening_of(embeddings, training.labels, SIZE)
    np.testing.assert_allclose(found.mean.numpy(), mean, atol=1e-4)
    # Axes have no sign, so what they make of differences is compared.
    own = found.matrix.numpy()
    centred = embeddings - mean
    expected = centred @ matrix.T @ matrix @ centred.T
    np.testing.assert_allclose(centred @ own.T @ own @ centred.T, expected, atol=2e-2 * expected.max())
    (score,) = whitened.scores
    rows = Embedder(whitened).embed(validation.paths)
    truth = leave_one_out(rows, validation.labels, [1])
    assert score["recall"]["1"] == pytest.approx(truth.recall[1], abs=0.04)
    assert score["map_at_r"] == pytest.approx(truth.map_at_r, abs=0.01)
    assert score["embedding_size"] == SIZE


def test_a_network(tmp_path: Path, make_recipe: Callable[..., Recipe], photos: Path) -> None:
    said: list[str] = []
    plain = train(make_recipe("schedule.epochs=1"), tmp_path / "plain")
    recipe = make_recipe("schedule.epochs=1", f"whitening.size={SIZE}")
    whitened = train(recipe, tmp_path / "whitened", report=said.append)
    check(load_bundle(plain), load_bundle(whitened), photos)
    assert any(line.startswith("whitened: R@1 ") for line in said)
    assert load_bundle(whitened).scores[0]["epoch"] == 1


def test_a_student(tmp_path: Path, make_recipe: Callable[..., Recipe], photos: Path) -> None:
    # The teacher is whitened too, so that both sides of the relations are exercised with one.
    teacher = train(make_recipe("schedule.epochs=1", f"whitening.size={SIZE}"), tmp_path / "teacher")
    file = tmp_path / "student.yaml"
    file.write_text(STUDENT.format(photos=photos, teacher=teacher))
    plain = distill(load_recipe_of(DistillationRecipe, file), tmp_path / "plain")
    recipe = load_recipe_of(DistillationRecipe, file, [f"whitening.size={SIZE}"])
    whitened = distill(recipe, tmp_path / "student")
    check(load_bundle(plain), load_bundle(whitened), photos)


def test_a_student_of_its_teachers_heads_keeps_the_teachers_whitening(
    tmp_path: Path, make_recipe: Callable[..., Recipe], photos: Path
) -> None:
    """So that its queries search the teacher's gallery; with a whitening of its own, on request, not."""
    network = "network={backbone: mobilenet_v3_small, preset: single, weights: none, mirror: false}"
    recipe = make_recipe(network, "schedule.epochs=1", f"whitening.size={SIZE}")
    teacher = load_bundle(train(recipe, tmp_path / "teacher"))
    assert teacher.network.whitening is not None
    file = tmp_path / "student.yaml"
    file.write_text(STUDENT.format(photos=photos, teacher=tmp_path / "teacher" / "bundle"))
    matched = ["terms=[{method: embedding_matching}]", "class_weight=0"]
    student = load_bundle(distill(load_recipe_of(DistillationRecipe, file, matched), tmp_path / "student"))
    assert student.embeds_for(teacher.fingerprint)
    assert student.network.whitening is not None
    for name, tensor in teacher.network.whitening.state_dict().items():
        assert student.network.whitening.state_dict()[name].equal(tensor)
    assert student.fingerprint != teacher.fingerprint, "it has learned"

    recipe_of_its_own = load_recipe_of(DistillationRecipe, file, ["whitening={}"])
    alone = load_bundle(distill(recipe_of_its_own, tmp_path / "alone"))
    assert alone.network.whitening is not None
    assert alone.embedding_size == sum(alone.network.feature_sizes)
    assert not alone.embeds_for(teacher.fingerprint)


def test_a_size_beyond_the_embedding_is_refused(tmp_path: Path, make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe("schedule.epochs=1", "whitening.size=100000")
    with pytest.raises(UserError, match=r"whitening\.size must be at most \d+, .*; got 100000"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists(), "it is said before the first step"


def test_classes_of_one_image_are_refused_before_the_first_step(
    tmp_path: Path, make_recipe: Callable[..., Recipe], photos: Path
) -> None:
    lines = ["path,label,split"]
    for number, image in enumerate(sorted(photos.rglob("*.png"))):
        lines.append(f"{image.relative_to(photos)},{number},{'train' if number % 2 else 'validation'}")
    manifest = photos / "singles.csv"
    manifest.write_text("\n".join(lines) + "\n")
    recipe = make_recipe(f"data.name={manifest}", "whitening={}", "validation.split=null")
    with pytest.raises(UserError, match="whitening needs classes of two or more images"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists()
