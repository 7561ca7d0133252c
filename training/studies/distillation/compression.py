"""What a teacher does for students of many sizes and designs."""

from __future__ import annotations

from typing import Any

from training.studies.distillation.asked import Asked
from training.studies.distillation.methods import BY_NAME, CIFAR10_TEACHER, course, teacher_row, usual_teacher
from training.studies.distillation.small_data import EPOCHS
from training.studies.study import Row, Study
from training.studies.teachers import TEACHER

_QUESTION = "How much of a teacher's accuracy does a student of another size or design keep?"

_SHARE = 0.1

_CIFAR10_METHODS = ("KD", "FitNet + KD", "FSP + KD", "AT + KD", "Jacobian + KD", "AB + KD")

# Slides, part II, "Various type of compression": teacher, student, and the error in per cent of the methods above.
_CIFAR10: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "depth": ("wrn-22-4", "wrn-10-4", (22.98, 23.34, 22.99, 18.06, 18.28, 14.05)),
    "channel": ("wrn-16-4", "wrn-16-2", (20.48, 19.98, 19.78, 14.81, 14.41, 11.62)),
    "depth and channel": ("wrn-22-4", "wrn-16-2", (21.21, 21.42, 20.80, 15.61, 15.03, 13.09)),
    "tiny network": ("wrn-22-4", "wrn-10-1", (29.57, 29.18, 28.70, 29.44, 28.70, 23.27)),
    "same network": ("wrn-16-4", "wrn-16-4", (18.29, 17.91, 17.81, 12.03, 11.28, 6.63)),
}

_EPOCHS = 200

_CIFAR100_METHODS: dict[str, dict[str, Any]] = {
    "none": {},
    # Hinton et al. 2015 as most compare it (RepDistiller): T = 4, squared, 0.9 beside 0.1 of the labels.
    "KD": {
        "class_weight": 0.1,
        "terms": [{"method": "kd", "weight": 0.9, "settings": {"temperature": 4.0, "squared": True}}],
    },
    "FitNets": {"terms": [{"method": "fitnets"}]},
    "AT": {"terms": [{"method": "at"}]},
    "Jacobian": {"terms": [{"method": "jacobian"}]},
    "FT": {"terms": [{"method": "ft"}], "prepare.epochs": 5, "schedule.epochs": _EPOCHS - 5},
    # A first stage of 30 epochs as in RepDistiller.
    "AB": {"terms": [{"method": "ab"}], "initialise.epochs": 30, "schedule.epochs": _EPOCHS - 30},
    "OFD": {"terms": [{"method": "ofd"}]},
}

# Slides, part II, "Various Compressions on CIFAR-100": as above.
_CIFAR100: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "(a)": ("wrn-28-4", "wrn-16-4", (22.72, 21.69, 21.85, 22.07, 22.18, 21.72, 21.36, 20.89)),
    "(b)": ("wrn-28-4", "wrn-28-2", (24.88, 23.43, 23.94, 23.80, 23.70, 23.41, 23.19, 21.98)),
    "(c)": ("wrn-28-4", "wrn-16-2", (27.32, 26.47, 26.30, 26.56, 26.71, 25.91, 26.02, 24.08)),
    "(d)": ("wrn-28-4", "cifar-resnet-56", (27.68, 26.76, 26.35, 26.66, 26.60, 26.20, 26.04, 24.44)),
    "(e)": ("pyramidnet-200-240", "wrn-28-4", (21.09, 20.97, 22.16, 19.28, 20.59, 19.04, 20.46, 17.80)),
    "(f)": (
        "pyramidnet-200-240",
        "pyramidnet-110-84",
        (22.58, 21.68, 23.79, 19.93, 23.49, 19.53, 20.89, 18.89),
    ),
}
# The authors use batches of 64 beside this teacher, whose own recipe has mixup, which ours has not.
_LARGE_TEACHER = "pyramidnet-200-240"
_CIFAR100_TEACHERS = {"wrn-28-4": 21.09, _LARGE_TEACHER: 15.57}


def compression(asked: Asked) -> Study:
    """The slides' pairs, those of CIFAR-100 if that is the data and those of CIFAR-10 otherwise."""
    asked.refuse_student("compression")
    return _cifar100() if asked.data == "cifar100" else _cifar10(asked)


def _cifar10(asked: Asked) -> Study:
    """Rows are named `AB + KD for depth`."""
    published = asked.data == "cifar10"
    rows = [usual_teacher(asked), teacher_row("wrn-16-4", CIFAR10_TEACHER)]
    for kind, (teacher, student, figures) in _CIFAR10.items():
        for name, figure in zip(_CIFAR10_METHODS, figures, strict=True):
            own = {"student.network": student, "data.share": _SHARE}
            rows.append(
                Row(
                    f"{name} for {kind}",
                    {**course(BY_NAME[name], EPOCHS), **own},
                    teacher=TEACHER + teacher,
                    published={"error": figure} if published else {},
                )
            )
    return Study(
        name="compression",
        question=_QUESTION,
        claim=(
            "Handing down activation boundaries (AB) is best for every kind of compression, and with a tenth of the "
            "images a student of the teacher's own size comes near the teacher (slides, part II, type of "
            "compression; Heo et al., AAAI 2019)."
        ),
        rows=tuple(rows),
        kind="distillation",
        file="cifar10",
        scores=("error",),
        source="slides, part II (Heo et al., AAAI 2019): 10 % of CIFAR-10, 120 epochs.",
        note="20 + 100 epochs. Methods of one stage have the 100 alone. The teachers have seen all images.",
        pairs=True,
    )


def _cifar100() -> Study:
    """Rows are named `OFD for (a)`."""
    rows = []
    for network, error in _CIFAR100_TEACHERS.items():
        rows.append(teacher_row(network, {"batch": 64} if network == _LARGE_TEACHER else {}, error))
    for setup, (teacher, student, figures) in _CIFAR100.items():
        batch = {"batch": 64} if teacher == _LARGE_TEACHER else {}
        for (name, values), figure in zip(_CIFAR100_METHODS.items(), figures, strict=True):
            rows.append(
                Row(
                    f"{name} for {setup}",
                    {"student.network": student, **batch, **values},
                    teacher=TEACHER + teacher if values else None,
                    published={"error": figure},
                )
            )
    return Study(
        name="compression",
        question=_QUESTION,
        claim=(
            "The comprehensive overhaul (OFD) is best for every pair; with it a student of half the size (a) is "
            "better than its teacher (slides, part II, various compressions on CIFAR-100; Heo et al., ICCV 2019)."
        ),
        rows=tuple(rows),
        base={"schedule.epochs": _EPOCHS, "schedule.drops": [0.5, 0.75], "schedule.drop_factor": 0.1},
        kind="distillation",
        file="cifar10",
        scores=("error",),
        source="slides, part II (Heo et al., ICCV 2019, medians of 5 runs): CIFAR-100, 200 epochs.",
        note=(
            "How the methods compared were set there is not said; ours have their authors' settings, and the labels "
            "beside."
        ),
        pairs=True,
    )
