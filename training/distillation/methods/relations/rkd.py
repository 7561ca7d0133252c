"""RKD: the student keeps the distances and the angles between the images of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from training.distillation.methods.directions import TINY, directions
from training.distillation.methods.precision import without_autocast
from training.distillation.methods.signals import embedding_or_feature
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def relative_distances(features: Tensor) -> Tensor:
    """Distances float[n, n] between features float[n, d], over the mean of those that are not zero.

    Park et al., CVPR 2019, eq. 5 and 6; the mean is differentiated too, as in the authors' code.
    """
    squared = (features[:, None] - features[None]).square().sum(2)
    apart = squared > TINY**2
    distances = torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)
    return distances / (distances.sum() / apart.sum().clamp(min=1)).clamp(min=TINY)


def angles(features: Tensor) -> Tensor:
    """Cosines float[n, n, n] of the angle at j between i and k: [j, i, k], for features float[n, d].

    Park et al. 2019, eq. 8. Zero where i or k is j.
    """
    towards = directions(features[None] - features[:, None])
    with without_autocast(features):
        return towards @ towards.transpose(1, 2)


class RelationalDistillation(Term):
    """distance x Huber(relative distances) + angle x Huber(angles), means over all pairs and triples of the batch.

    Park et al. 2019; on embeddings of networks for retrieval, on the last feature of classifiers, whose sizes may
    differ. Memory grows with n^2 d + n^3 of a batch of n.
    """

    compares_images = True

    def __init__(self, distance: float, angle: float) -> None:
        super().__init__()
        self.distance, self.angle = distance, angle

    def forward(self, step: Step) -> Tensor:
        """As every term."""
        student = step.gather(embedding_or_feature(step.student))
        teacher = step.gather(embedding_or_feature(step.teacher))
        value = student.new_zeros(())
        if self.distance > 0:
            value = value + self.distance * F.smooth_l1_loss(
                relative_distances(student), relative_distances(teacher)
            )
        if self.angle > 0:
            value = value + self.angle * F.smooth_l1_loss(angles(student), angles(teacher))
        return value


def build_rkd(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> RelationalDistillation:
    """The term of row `rkd`."""
    return RelationalDistillation(float(settings["distance"]), float(settings["angle"]))
