"""What each aspect of the comprehensive overhaul (OFD) does: one of them exchanged at a time."""

from __future__ import annotations

from typing import Any

from training.studies.distillation.asked import Asked
from training.studies.distillation.methods import STUDENT, usual_teacher
from training.studies.study import Row, Study

_EPOCHS = 15


def _ofd(settings: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"terms": [{"method": "ofd", "settings": settings or {}, **more}]}


# At the end of a group there is no batch norm to take margins from.
_RUNNING = {"margins": "running"}

_ROWS: dict[str, dict[str, Any]] = {
    "OFD": _ofd(),
    "teacher transform: none": _ofd({"teacher_transform": "none"}),
    "teacher transform: ReLU": _ofd({"teacher_transform": "relu"}),
    "teacher transform: binarise": _ofd({"teacher_transform": "binarise"}),
    "margins: running mean": _ofd(_RUNNING),
    "student transform: connector and ReLU": _ofd({"student_transform": "connector_relu"}),
    "distance: L2": _ofd({"distance": "l2"}),
    "distance: L1": _ofd({"distance": "l1"}),
    "distance: marginal L2": _ofd({"distance": "marginal_l2"}),
    "position: end": _ofd(_RUNNING, position="end"),
    "position: mid": _ofd(_RUNNING, position="mid"),
    "layers: last": _ofd({"layers": "last"}),
    "layers: equal weights": _ofd({"layer_decay": 1.0}),
    "teacher norms: its own": {**_ofd(), "teacher.norms": "own"},
}


def overhaul_ablation(asked: Asked) -> Study:
    """OFD and, from it, one aspect changed at a time."""
    teacher = usual_teacher(asked)
    rows = (Row(name, overrides, teacher=teacher.name) for name, overrides in _ROWS.items())
    return Study(
        name="overhaul-ablation",
        question="Which of the overhaul's choices make it what it is?",
        claim=(
            "Features before the ReLU lose least; the margin ReLU keeps what a ReLU would pass and forgets how "
            "negative the rest is; the partial L2 leaves alone what is negative in both; a 1x1 convolution is enough "
            "to match channels (slides, part II, design of feature distillation; Heo et al., ICCV 2019, who also let "
            "the teacher's batch norms use the batch). The slides print no figures of single aspects."
        ),
        rows=(teacher, Row("none"), *rows),
        base={"student.network": asked.student or STUDENT, "schedule.epochs": _EPOCHS},
        kind="distillation",
        file="cifar10",
        scores=("error",),
        source="the teacher's error, WRN 22-4 on CIFAR-10 (Heo et al., AAAI 2019).",
        note=(
            "At the positions end and mid there is no batch norm to take margins from, so they are running means."
        ),
    )
