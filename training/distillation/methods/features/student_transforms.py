"""What a student's feature becomes to be compared with its teacher's: the student transforms T_s.

Those with weights learn with the student and are dropped after training, so they cost nothing where it is used.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from retrieval.errors import UserError
from retrieval.networks.taps import Tap
from training.distillation.methods.features.attention import Attention
from training.distillation.methods.features.paraphraser import Translator, factor_channels
from training.setting import Settings


def connector(student: int, teacher: int) -> nn.Sequential:
    """1x1 convolution without bias and batch norm, from the student's channels to the teacher's.

    The least that lets maps of two widths be compared: a linear change of basis that cannot move anything in space.
    Weights are drawn from N(0, 2 / teacher channels), gamma = 1, beta = 0 (Heo et al., AAAI 2019 and ICCV 2019,
    authors' code).
    """
    convolution = nn.Conv2d(student, teacher, 1, bias=False)
    nn.init.normal_(convolution.weight, std=(2 / teacher) ** 0.5)
    return nn.Sequential(convolution, nn.BatchNorm2d(teacher))


def needed_connector(teacher: Tap, student: Tap, *, always: bool) -> nn.Module:
    """A connector; where both maps have the same channels, nothing instead, unless one is always wanted."""
    if teacher.channels == student.channels and not always:
        return nn.Identity()
    return connector(student.channels, teacher.channels)


def _none(teacher: Tap, student: Tap, settings: Settings) -> nn.Module:
    if teacher.channels != student.channels:
        raise UserError(
            f"{student.name} of the student has {student.channels} channels and {teacher.name} of the teacher"
            f" {teacher.channels}; set student_transform to connector"
        )
    return nn.Identity()


def _connector(teacher: Tap, student: Tap, settings: Settings) -> nn.Module:
    return needed_connector(teacher, student, always=bool(settings["always_connect"]))


def _connector_relu(teacher: Tap, student: Tap, settings: Settings) -> nn.Module:
    return nn.Sequential(_connector(teacher, student, settings), nn.ReLU())


def _translator(teacher: Tap, student: Tap, settings: Settings) -> nn.Module:
    return Translator(student.channels, factor_channels(teacher.channels, float(settings["rate"])))


STUDENT_TRANSFORMS: dict[str, Callable[[Tap, Tap, Settings], nn.Module]] = {
    "none": _none,
    "attention": lambda teacher, student, settings: Attention(),
    "connector": _connector,
    "connector_relu": _connector_relu,
    "translator": _translator,
}
"""The student transforms that a recipe can name, built for the teacher's tap and the student's from a method's
settings. `connector_relu` is the connector with a ReLU behind it, for a teacher's feature behind its own."""
