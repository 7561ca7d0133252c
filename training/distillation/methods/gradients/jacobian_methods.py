"""The methods that compare how answers change with the image: rows of the table of methods.

Most methods say what a teacher answers; these add how the answer would change if the image did, which is worth most
where images are few. Their price is a student that is differentiated twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from training.distillation.methods.features.feature_methods import FEATURE_METHODS
from training.distillation.methods.gradients.jacobian import JacobianMatching
from training.distillation.methods.gradients.jacobian_logits import build_jacobian_logits
from training.distillation.methods.term import MethodRow, Setup
from training.setting import Setting, Settings

_AT = next(row for row in FEATURE_METHODS if row.name == "at")


def build_jacobian(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> JacobianMatching:
    """The term of row `jacobian`, on top of that of row `at` as it stands. Raises UserError without taps."""
    return JacobianMatching(_AT.build(setup, *_AT.resolve({})), float(settings["gradients"]))


JACOBIAN_METHODS: tuple[MethodRow, ...] = (
    MethodRow(
        "jacobian",
        "Srinivas & Fleuret, ICML 2018, attention and Jacobians; weight as in row at, gradients as this project reads "
        "the paper",
        build_jacobian,
        weight=_AT.weight,
        stage="train",
        needs=("taps",),
        position=_AT.position,
        settings={"gradients": Setting(1.0, least=0)},
        differentiates_twice=True,
    ),
    MethodRow(
        "jacobian_logits",
        "Srinivas & Fleuret, ICML 2018, on the true class's logit; the weight is this project's",
        build_jacobian_logits,
        weight=1.0,
        stage="train",
        needs=("logits",),
        differentiates_twice=True,
    ),
)
