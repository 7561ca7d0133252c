"""Studies whose rows are recipes of distillation: students that classify, with their teachers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from retrieval.datasets import ImageDataset, Subset, few_per_class, open_dataset
from retrieval.networks.classifiers import classifier_cost
from retrieval.networks.cost import cost
from training.distillation.loop import distill
from training.distillation.recipe import DistillationRecipe
from training.distillation.sections import ClassifierSection
from training.distillation.stages import stages_of
from training.studies.fine_tuning import recall_scores
from training.studies.kind import Images, Kind, Trained
from training.studies.study import Study
from training.validation import pretraining

_IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Lesson:
    """What a row's student learned with. teacher: a network's name, with its parameters; None without one. epochs: of
    each stage, in their order. images: to train on. parameters: with the class layer.
    """

    teacher: str | None
    teacher_parameters: int | None
    student: str
    parameters: int
    epochs: tuple[int, ...]
    images: int
    training_mib: float | None = None

    def cells(self, study: Study) -> dict[str, str]:
        """As `Facts.cells`."""
        pair: dict[str, str] = {}
        if study.pairs:
            ratio = self.parameters / self.teacher_parameters if self.teacher_parameters else None
            pair = {
                "teacher": self.teacher or "-",
                "student": self.student,
                "size": "-" if ratio is None else f"{100 * ratio:.1f} %",
            }
        return {
            **pair,
            "epochs": " + ".join(str(epochs) for epochs in self.epochs),
            "images": f"{self.images:,}",
            "parameters": f"{self.parameters / 1e6:.2f} M",
        }


def identity(recipe: DistillationRecipe) -> str:
    """The same for recipes that give the same weights: a teacher is its weights, wherever they lie."""
    values = recipe.model_dump(mode="json", exclude={"name", "machine"})
    if recipe.teacher is not None:
        weights = Path(recipe.teacher.model) / "weights.safetensors"
        if weights.is_file():
            stat = weights.stat()
            values["teacher"]["model"] = _digest(weights, stat.st_mtime_ns, stat.st_size)
    return json.dumps(values, sort_keys=True)


@lru_cache(maxsize=256)
def _digest(file: Path, changed: int, size: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def scores(score: Mapping[str, Any]) -> dict[str, float]:
    """Error, accuracy and top-5 error of a classifier; recall of a network that embeds; and shares of equal
    activations behind each tap.
    """
    if "recall" in score:
        found = recall_scores(score)
    else:
        error = {int(k): float(value) for k, value in score["error"].items()}
        found = {"error": error[1], "accuracy": 1 - error[1]}
        found |= {f"top-{k} error": value for k, value in error.items() if k > 1}
    return found | {f"overlap {tap}": float(share) for tap, share in score.get("overlap", {}).items()}


def lesson(trained: Trained[DistillationRecipe]) -> Lesson:
    """What a row's table says of it, from its recipe."""
    recipe = trained.recipe
    classes = len(_training(recipe).classes)
    student, parameters = _student(recipe, classes)
    teacher, teacher_parameters = None, None
    if trained.teacher is not None:
        teacher, teacher_parameters = _student(trained.teacher, classes)
    elif recipe.teacher is not None and recipe.teacher.weights is not None:
        teacher = recipe.teacher.model
        teacher_parameters = classifier_cost(teacher, _IMAGENET_CLASSES).parameters
    return Lesson(
        teacher=teacher,
        teacher_parameters=teacher_parameters,
        student=student,
        parameters=parameters,
        epochs=tuple(stage.section.epochs for stage in stages_of(recipe)),
        images=len(_training(recipe)),
    )


def _student(recipe: DistillationRecipe, classes: int) -> tuple[str, int]:
    """Name and parameters."""
    section = recipe.student
    if isinstance(section, ClassifierSection):
        return _name(recipe), _parameters(section.network, classes)
    return _name(recipe), cost(section.spec(), recipe.images.scored_side).parameters


@lru_cache(maxsize=256)
def _parameters(network: str, classes: int) -> int:
    return classifier_cost(network, classes).parameters


def _training(recipe: DistillationRecipe) -> Subset:
    data = recipe.data
    return _part(data.name, data.root, data.split, data.share, data.per_class, data.part_seed)


@lru_cache(maxsize=64)
def _part(
    name: str, root: Path | None, split: str, share: float | None, per_class: int | None, seed: int
) -> Subset:
    """As a run opens it, before what cannot be decoded is left out."""
    subset = _dataset(name, root).subset(split)
    if share is None and per_class is None:
        return subset
    return few_per_class(subset, share=share, count=per_class, seed=seed)


@lru_cache(maxsize=4)
def _dataset(name: str, root: Path | None) -> ImageDataset:
    return open_dataset(name, root)


def _count_images(recipe: DistillationRecipe) -> Images:
    scored = _dataset(recipe.data.name, recipe.data.root).subset(recipe.score.split or "test")
    protocol = "as a classifier" if recipe.task == "classification" else "leave-one-out"
    return Images.of(_training(recipe), scored, protocol)


def _settings(recipe: DistillationRecipe) -> str:
    precision = "" if recipe.precision == "auto" else f", {recipe.precision}"
    section = recipe.student
    pixels, optimiser = recipe.images.pixels, recipe.optimiser
    return (
        f"Student {_name(recipe)}, weights: {pretraining(section.weights)}; {pixels} x {pixels} pixels, batch "
        f"{recipe.batch}, {optimiser.kind} at {optimiser.lr:g}{precision}, where a row does not say otherwise. Scored "
        "after the last epoch; no epoch is chosen."
    )


def _about(recipe: DistillationRecipe) -> str:
    return f"{recipe.data.name}, {_name(recipe)}, {recipe.images.pixels} px"


def _name(recipe: DistillationRecipe) -> str:
    section = recipe.student
    return section.network if isinstance(section, ClassifierSection) else section.backbone


DISTILLATION: Kind[DistillationRecipe] = Kind(
    recipe=DistillationRecipe,
    mark="student",
    train=distill,
    identity=identity,
    scores=scores,
    facts=lesson,
    count_images=_count_images,
    settings=_settings,
    about=_about,
    legend=(
        "Epochs of each stage, in their order: what is learned from the teacher alone, then the main stage. Images "
        "are those that are trained on. Parameters of the student, with its class layer; size: in per cent of the "
        "teacher's. A teacher is trained once and shared by all rows and seeds."
    ),
)
