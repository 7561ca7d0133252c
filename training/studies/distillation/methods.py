"""The methods of the slides' tables on CIFAR-10, at a pair of epochs: distillation + classification.

Heo et al. (AB, AAAI 2019) print 120 epochs as 20+100. How we read it:

* FitNet, FSP and AB are two-stage methods: the first number is the stage in which the student learns from the teacher
  alone, the second one the main stage.
* Those with one stage (none, KD, AT, Jacobian, BSS, OFD) have the sum of both as main stage.
* FT's paraphraser learns from the teacher before: for the first number's epochs, at most 5 as its authors have it. They
  are counted, so that the main stage is what is left of the sum; where the first number is 1 they are not, or the
  student would have one epoch less than all others.

`X + KD`: in the main stage the student sees no labels but through the teacher's logits, as in the authors' script.
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


_ALONE: Mapping[str, dict[str, Any]] = {"fitnets": {"weight": 1.0}}
"""What differs where a term has a stage to itself: its weight then only multiplies the rate. FitNets' 100 is meant for
a place beside the labels, whose gradient it exceeds a hundredfold here."""


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
    values: dict[str, Any] = {"terms": [{"method": name} for name in method.main]}
    total = first + second
    if any(TERMS[name].prepares({}) for name in method.main):
        values["prepare.epochs"] = min(_PARAPHRASER_EPOCHS, first)
        total -= values["prepare.epochs"] if first > 1 else 0
    return _labels(method) | values | {"schedule.epochs": total}


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
