"""DIST: the student's probabilities need only correlate with the teacher's, along classes and along images."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from training.distillation.methods.signals import check_classes, logits
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def correlation_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - Pearson's correlation of each row of float[rows, n] with its own, the mean over rows; a scalar in [0, 2].

    Huang et al., NeurIPS 2022. A row without variance has a correlation of 0: the authors add 1e-8 to the product of
    the lengths.
    """
    student = student - student.mean(1, keepdim=True)
    teacher = teacher - teacher.mean(1, keepdim=True)
    lengths = torch.linalg.vector_norm(student, dim=1) * torch.linalg.vector_norm(teacher, dim=1)
    correlations: Tensor = (student * teacher).sum(1) / (lengths + 1e-8)
    return 1 - correlations.mean()


class PredictionCorrelation(Term):
    """T^2 (beta x inter-class + gamma x intra-class distance) of softened probabilities (Huang et al. 2022).

    Inter-class: an image's probabilities over the classes; intra-class: a class's probabilities over the batch.
    """

    compares_images = True

    def __init__(self, beta: float, gamma: float, temperature: float) -> None:
        super().__init__()
        self.beta, self.gamma, self.temperature = beta, gamma, temperature

    def forward(self, step: Step) -> Tensor:
        """As every term."""
        student = (step.gather(logits(step.student)) / self.temperature).softmax(1)
        teacher = (step.gather(logits(step.teacher)) / self.temperature).softmax(1)
        inter = correlation_distance(student, teacher)
        intra = correlation_distance(student.T, teacher.T)
        return self.temperature**2 * (self.beta * inter + self.gamma * intra)


def build_dist(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> PredictionCorrelation:
    """The term of row `dist`. Raises UserError unless both networks have the same classes."""
    check_classes("dist", setup)
    return PredictionCorrelation(
        float(settings["beta"]), float(settings["gamma"]), float(settings["temperature"])
    )
