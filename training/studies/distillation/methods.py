"""The methods of the slides' tables on CIFAR-10, at a pair of epochs: distillation + classification.

Heo et al. (AB, AAAI 2019) print 120 epochs as 20+100. How we read it:

* The second number is the main stage, of every method. What has nothing to learn before it (none, KD, AT, Jacobian,
  BSS, OFD) has that stage alone: the table's error of `none` at 1+1, 43.37 %, is nearer to one epoch's (41.2 %
  measured here) than to two's (31.2 %). The slides' captions, which count sums, speak against it.
* The first number is the stage in which the student learns from the teacher alone (FitNet, FSP, AB), or in which FT's
  paraphraser does, which has at most 5 epochs as its authors have it.

`X + KD`: in the main stage the student sees no labels but through the teacher's logits, as in the authors' script.
Their KD has no factor T^2; what stands beside it is weighed down by as much (`_BESIDE_KD`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.distillation.methods.table import METHODS as TERMS
from training.studies.distillation.asked import Asked
from training.studies.study import Row
from training.studies.teachers import TEACHER

Pair = tuple[int, int]

_PARAPHRASER_EPOCHS = 5


BEHIND_RELU = {"teacher_transform": "relu", "student_transform": "connector_relu"}
"""At `pre_relu`: the features are what a ReLU lets through, as the slides write distances, |sigma(T) - sigma(S)|."""

_ALONE: Mapping[str, dict[str, Any]] = {
    "fitnets": {"weight": 1.0, "position": "pre_relu", "settings": {"layers": "middle", **BEHIND_RELU}},
    "fsp": {"position": "pre_relu", "settings": BEHIND_RELU},
}
"""What differs where a term has a stage to itself: its weight then only multiplies the rate. FitNets' 100 is meant for
a place beside the labels, whose gradient it exceeds a hundredfold here.

The slides write FitNet behind the ReLU; of FSP they do not say. The groups of WRN end before one, and compared there
both are 5 to 9 points better than printed with 1 % of the images (docs/results.md, also for what speaks against it)."""

_BESIDE_KD = 1 / 9
"""Share of its weight that a method keeps beside KD at T = 3 without Hinton's factor T^2. The weights of AT, Jacobian
and FT were chosen beside labels, or KD with that factor, whose gradient is nine times this one's."""


@dataclass(frozen=True)
class Method:
    """A row of the slides' tables. first: the term that is alone in a stage of its own. main: the terms of the main
    stage. labels: whether that sees the labels.
    """

    name: str
    first: str | None = None
    main: tuple[str, ...] = ()
    labels: bool = False


METHODS: tuple[Method, ...] = (
    Method("none", labels=True),
    Method("KD", main=("kd",)),
    Method("FitNet + KD", first="fitnets", main=("kd",)),
    Method("FSP + KD", first="fsp", main=("kd",)),
    Method("AT + KD", main=("at", "kd")),
    Method("Jacobian + KD", main=("jacobian", "kd")),
    Method("AB + KD", first="ab", main=("kd",)),
    Method("FT + KD", main=("ft", "kd")),
    Method("BSS", main=("bss",), labels=True),
    Method("OFD", main=("ofd",), labels=True),
)

BY_NAME: Mapping[str, Method] = {method.name: method for method in METHODS}

CIFAR10_TEACHER: dict[str, Any] = {
    "schedule.epochs": 16,
    "schedule.shape": "cosine",
    "schedule.warmup_epochs": 1,
}
"""The short schedule of the packaged recipe `cifar10_teacher`; the authors train 200 epochs."""


_TEACHER_NETWORK = "wrn-22-4"
STUDENT = "wrn-16-2"
_TEACHER_ERROR = 4.51


def course(method: Method, pair: Pair) -> dict[str, Any]:
    """What a recipe says of a method at a pair of epochs."""
    first, second = pair
    if method.first is not None:
        first_term = {"method": method.first, "stage": "initialise"} | _ALONE.get(method.first, {})
        terms = [first_term, *({"method": name} for name in method.main)]
        return _labels(method) | {"terms": terms, "initialise.epochs": first, "schedule.epochs": second}
    values: dict[str, Any] = {"terms": [_term(name, beside=method.main) for name in method.main]}
    if any(TERMS[name].prepares({}) for name in method.main):
        values["prepare.epochs"] = min(_PARAPHRASER_EPOCHS, first)
    return _labels(method) | values | {"schedule.epochs": second}


def _term(name: str, *, beside: tuple[str, ...]) -> dict[str, Any]:
    if name == "kd" or "kd" not in beside:
        return {"method": name}
    return {"method": name, "weight": TERMS[name].weight * _BESIDE_KD}


def _labels(method: Method) -> dict[str, Any]:
    return {"class_weight": 1.0 if method.labels else 0.0}


def teacher_row(network: str, overrides: dict[str, Any], error: float | None = None) -> Row:
    """The row that trains a teacher by its labels. error: published, in per cent."""
    published = {} if error is None else {"error": error}
    return Row(
        TEACHER + network, {"student.network": network, **overrides}, teaches=True, published=published
    )


def usual_teacher(asked: Asked) -> Row:
    """The teacher of the slides' WRN 16-2, with its published error where the data are the slides'."""
    return teacher_row(_TEACHER_NETWORK, CIFAR10_TEACHER, _TEACHER_ERROR if asked.data == "cifar10" else None)
