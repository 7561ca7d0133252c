"""Output distillation: the student learns the teacher's softened probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from training.distillation.methods.signals import check_classes, logits
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(softmax(teacher / T) || softmax(student / T)), the mean over images (Hinton et al. 2015).

    student, teacher: logits float[n, classes]. Returns a scalar, without Hinton's factor T^2. It differs from the
    cross-entropy J of the softened outputs by the teacher's entropy, in which the student has no part.
    """
    return F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )


def standardised(values: Tensor) -> Tensor:
    """Logits float[n, classes] with mean 0 and standard deviation 1 in each row (Sun et al. 2024, the Z-score).

    The standard deviation is that of a sample, and 1e-7 is added to it, as in the authors' code.
    """
    centred = values - values.mean(1, keepdim=True)
    return centred / (values.std(1, keepdim=True) + 1e-7)


class SoftTargets(Term):
    """Hinton et al. 2015, with T^2 if `squared`; on standardised logits if `standardise` (Sun et al., CVPR 2024)."""

    def __init__(self, temperature: float, *, squared: bool, standardise: bool) -> None:
        super().__init__()
        self.temperature = temperature
        self.factor = temperature**2 if squared else 1.0
        self.standardise = standardise

    def forward(self, step: Step) -> Tensor:
        """As every term."""
        student, teacher = logits(step.student), logits(step.teacher)
        if self.standardise:
            student, teacher = standardised(student), standardised(teacher)
        return self.factor * softened_divergence(student, teacher, self.temperature)


def build_kd(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> SoftTargets:
    """The term of row `kd`. Raises UserError unless both networks have the same classes."""
    check_classes("kd", setup)
    return SoftTargets(
        float(settings["temperature"]),
        squared=bool(settings["squared"]),
        standardise=bool(settings["standardise"]),
    )
