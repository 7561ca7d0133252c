"""What an ImageNet teacher does for a student without pretraining."""

from __future__ import annotations

from typing import Any

from retrieval.errors import UserError
from retrieval.networks.backbones import backbone_row
from training.studies.base import BASES
from training.studies.distillation.asked import Asked
from training.studies.study import Row, Study

STUDENT = "mobilenet_v1"
TEACHER = "resnet50"

# Slides, part II, "Transfer learning": accuracy in per cent, by images of a class.
_MIT67 = (5, 10, 20, 40, 80)
_MIT67_PUBLISHED: dict[str, tuple[float, ...]] = {
    "ImageNet weights": (32.39, 42.46, 52.99, 62.54, 69.78),
    "none": (11.12, 17.99, 30.37, 43.88, 56.94),
    "DTL": (20.52, 34.55, 49.78, 59.48, 64.93),
    "FitNet + DTL": (29.55, 43.81, 53.51, 63.36, 66.57),
    "FSP + DTL": (25.60, 39.63, 51.42, 60.08, 63.73),
    "AT + DTL": (22.61, 35.37, 49.10, 60.15, 65.15),
    "Jacobian + DTL": (26.64, 38.28, 51.34, 61.19, 63.96),
    "AB + DTL": (43.36, 56.72, 66.34, 70.75, 74.10),
}
_CUB = (1, 5, 10, 20, 30)
_CUB_PUBLISHED: dict[str, tuple[float, ...]] = {
    "ImageNet weights": (8.01, 29.84, 48.83, 69.02, 74.70),
    "none": (2.40, 10.68, 25.54, 44.43, 56.63),
    "DTL": (5.35, 26.29, 42.15, 48.24, 62.05),
    "FitNet + DTL": (10.70, 36.75, 50.74, 52.85, 63.93),
    "FSP + DTL": (7.06, 29.43, 42.44, 43.96, 56.52),
    "AT + DTL": (6.65, 28.56, 44.43, 52.80, 63.70),
    "Jacobian + DTL": (7.85, 31.02, 45.39, 49.41, 60.11),
    "AB + DTL": (13.38, 45.39, 57.11, 62.93, 70.54),
}
_TABLES = {"mit67": (_MIT67, _MIT67_PUBLISHED), "cub200_classes": (_CUB, _CUB_PUBLISHED)}

# The authors' script for MIT-67: 60 epochs at 0.1 from the teacher alone, then 40 at 0.01, divided by 10 half way.
_FIRST: dict[str, Any] = {"initialise.epochs": 60, "initialise.lr": 0.1}
# The same rates in one stage, for students without a teacher; what is pretrained begins at the lower one.
_ALONE: dict[str, Any] = {"schedule.epochs": 100}
_FROM_SCRATCH: dict[str, Any] = {
    "optimiser.lr": 0.1,
    "optimiser.classifier_lr": 0.1,
    "schedule.drops": [0.6, 0.8],
}
_DTL = {"method": "dtl"}


def _taught(*terms: dict[str, Any]) -> dict[str, Any]:
    return {**_FIRST, "terms": [*terms, _DTL]}


# FitNet, FSP and AB teach first; AT and Jacobian teach in both stages, as DTL does.
_METHODS: dict[str, dict[str, Any]] = {
    "none": {**_ALONE, **_FROM_SCRATCH},
    "ImageNet weights": {**_ALONE, "student.weights": "imagenet"},
    "DTL": _taught(),
    "FitNet + DTL": _taught({"method": "fitnets", "stage": "initialise"}),
    "FSP + DTL": _taught({"method": "fsp", "stage": "initialise"}),
    "AT + DTL": _taught({"method": "at", "stage": "both"}),
    "Jacobian + DTL": _taught({"method": "jacobian", "stage": "both"}),
    "AB + DTL": _taught({"method": "ab", "stage": "initialise", "weight": 1e-3}),
}


def transfer(asked: Asked) -> Study:
    """Every method with every number of images of a class; rows are named `AB + DTL with 5 a class`."""
    counts, published = _TABLES.get(asked.data, (_MIT67, {}))
    teacher = _teacher(asked)
    rows = []
    for column, count in enumerate(counts):
        for name, values in _METHODS.items():
            figures = published.get(name)
            rows.append(
                Row(
                    f"{name} with {count} a class",
                    {"data.per_class": count, **values, **(teacher if "terms" in values else {})},
                    published={"accuracy": figures[column]} if figures else {},
                )
            )
    return Study(
        name="transfer",
        question="Can an ImageNet teacher stand in for the student's own pretraining?",
        claim=(
            "It can: with activation boundaries handed down (AB) a MobileNet that starts from random weights beats "
            "one with ImageNet weights on MIT-67, and on CUB-200-2011 where images are few (slides, part II, "
            "transfer learning; Heo et al., AAAI 2019)."
        ),
        rows=tuple(rows),
        base={"student.network": asked.student or STUDENT},
        file=BASES / "transfer.yaml",
        kind="distillation",
        scores=("accuracy",),
        source="slides, part II (Heo et al., AAAI 2019): an ImageNet ResNet-50 teaches a MobileNet.",
        note=(
            "Rows with a teacher have 60 epochs from it alone, then 40 with the labels and DTL; the others have 100."
        ),
        pairs=True,
    )


def _teacher(asked: Asked) -> dict[str, Any]:
    """The teacher's section, as values of a recipe."""
    if len(asked.teachers) > 1:
        raise UserError("study transfer has one teacher; give --teacher once")
    network, weights = next(iter(asked.teachers.items()), (TEACHER, ""))
    backbone_row(network)
    # The authors' teacher keeps its own batch statistics here.
    return {"teacher.model": network, "teacher.weights": weights or "imagenet", "teacher.norms": "own"}
