"""Equal activations of two trained networks, counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from retrieval.datasets import open_dataset
from retrieval.images import decode_image
from training.distillation.loop import distill
from training.distillation.recipe import DistillationRecipe
from training.distillation.saved_classifier import SavedClassifier, load_classifier
from training.recipe_file import RecipeError

Make = Callable[..., DistillationRecipe]

AB = "terms=[{method: ab, stage: train}]"


def responses(saved: SavedClassifier, images: Tensor) -> list[Tensor]:
    """What the batch norms say whose ReLUs end the three groups of a pre-activation network."""
    network = saved.network
    second, third = (network.get_submodule(f"groups.{group}.0.bn1") for group in ("B2", "B3"))
    heard: list[Tensor] = []

    def hear(module: nn.Module, given: tuple[Tensor], response: Tensor) -> None:
        heard.append(response.clone())  # the ReLU behind works in place

    hooks = [norm.register_forward_hook(hear) for norm in (second, third, network.get_submodule("tail.bn"))]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return heard


def test_the_share_is_that_of_a_count_by_hand(make_distillation: Make, tmp_path: Path) -> None:
    teacher = distill(make_distillation("schedule.epochs=1"), tmp_path / "teacher")
    taught = [f"teacher.model={teacher}", "class_weight=0", AB, "schedule.epochs=3", "optimiser.lr=0.3"]
    recipe = make_distillation(*taught, "score.overlap=true", "seed=1", "batch=7")
    saved = load_classifier(distill(recipe, tmp_path / "student"))
    score, silent = (saved.scores[-1][name] for name in ("overlap", "overlap_of_silence"))

    subset = open_dataset(recipe.data.name).subset("test")
    stated = saved.preprocessing
    images = torch.stack([torch.from_numpy(stated.prepare(decode_image(path))) for path in subset.paths])
    seen = stated.normalise(images)
    pairs = list(zip(responses(load_classifier(teacher), seen), responses(saved, seen), strict=True))
    assert silent == pytest.approx(
        {name: float((theirs <= 0).float().mean()) for name, (theirs, _) in zip(score, pairs, strict=True)},
        abs=1e-4,
    )
    expected = [float(((theirs > 0) == (own > 0)).float().mean()) for theirs, own in pairs]
    assert list(score) == ["B1", "B2", "B3"]
    assert list(score.values()) == pytest.approx(expected, abs=1e-4)
    assert min(expected) < 0.95, "a student that is not the teacher"


def test_widths_that_differ_meet_behind_the_connector(make_distillation: Make, tmp_path: Path) -> None:
    teacher = distill(
        make_distillation("schedule.epochs=1", "student.network=wrn-10-2"), tmp_path / "teacher"
    )
    taught = [f"teacher.model={teacher}", AB, "schedule={epochs: 1, average: 0.5}"]
    saved = load_classifier(distill(make_distillation(*taught, "score.overlap=true"), tmp_path / "student"))
    assert all(0 < share < 1 for share in saved.scores[-1]["overlap"].values())


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["score={split: null, overlap: true}"], "set score.split"),
        (["terms=[{method: at}]", "score.overlap=true"], "such as ab"),
        (["terms=[{method: kd}]", "score.overlap=true"], "such as ab"),
    ],
)
def test_an_overlap_of_nothing_is_refused(make_distillation: Make, overrides: list[str], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        make_distillation("teacher.model=somewhere", AB, *overrides)
