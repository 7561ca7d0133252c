"""Jacobian matching: the student's output shall change along the same directions of the image as the teacher's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from training.distillation.directions import directions
from training.distillation.precision import single
from training.distillation.shared_images import shared_images
from training.distillation.signals import check_classes, logits
from training.distillation.term import Setup, Step, Term
from training.setting import Settings


def gradient_directions(
    forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, *, differentiable: bool
) -> Tensor:
    """Directions of the gradients of each image's logit of its own class by that image.

    forward: images to logits float[n, classes]. images: float[n, 3, h, w]. labels: int64[n]. differentiable: whether
    the result carries gradients to the network's weights. Returns float[n, 3 * h * w], unit vectors.
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        scores = forward(images).gather(1, labels[:, None]).sum()
        (gradients,) = torch.autograd.grad(scores, images, create_graph=differentiable)
    return directions(single(gradients).flatten(1))


class JacobianMatching(Term):
    """Mean squared difference, over images and their values, of both networks' gradient directions.

    Srinivas & Fleuret, ICML 2018, in the form of Czarnecki et al. (Sobolev training, NIPS 2017) with unit gradients.
    The networks are run again on images that take gradients, and the student's backward pass is differentiated: a step
    costs about three times one without this term. Batch norms of a student in train mode take its batch into their
    running statistics a second time, and its images' gradients see each other.
    """

    def forward(self, step: Step) -> Tensor:
        """As every term. Raises UserError where the networks expect different images."""
        images = shared_images("jacobian", step)
        student = gradient_directions(
            lambda x: logits(step.forward_student(x)), images, step.labels, differentiable=True
        )
        teacher = gradient_directions(
            lambda x: logits(step.forward_teacher(x)), images, step.labels, differentiable=False
        )
        return F.mse_loss(student, teacher)


def build_jacobian(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> JacobianMatching:
    """The term of row `jacobian`. Raises UserError unless both networks have the same classes."""
    check_classes("jacobian", setup)
    return JacobianMatching()
