"""DTL: output distillation when the teacher knows other classes than the student shall learn."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from retrieval.errors import UserError
from training.distillation.methods.precision import single, without_autocast
from training.distillation.methods.signals import logits
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def centred_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of logits float[n, classes], each image's centred on its mean; a scalar.

    Heo et al., AAAI 2019, their code. A softmax does not see the mean either.
    """
    student = student - student.mean(1, keepdim=True)
    teacher = teacher - teacher.mean(1, keepdim=True)
    return (student - teacher).square().mean()


class TransferLogits(Term):
    """The teacher's logits, of its own classes, learnt by an auxiliary linear layer on the student's feature.

    The layer starts as torch starts linear layers (as in the authors' code) and is left behind.
    """

    def __init__(self, feature_size: int, teacher_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(feature_size, teacher_classes)

    def forward(self, step: Step) -> Tensor:
        """As every term."""
        feature = single(step.student.feature)
        with without_autocast(feature):
            return centred_difference(self.classifier(feature), logits(step.teacher))


def build_dtl(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> TransferLogits:
    """The term of row `dtl`. Raises UserError for a teacher without logits."""
    if setup.teacher_classes == 0:
        raise UserError("method dtl needs a teacher with classes; a network for retrieval has none")
    return TransferLogits(setup.student_feature, setup.teacher_classes)
