"""Jacobian matching of outputs: the true class shall be said along the same direction of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from training.distillation.methods.gradients.slopes import gradient_directions, squared_distance
from training.distillation.methods.shared_images import shared_images
from training.distillation.methods.signals import check_classes, logits
from training.distillation.methods.term import Output, Setup, Step, Term
from training.setting import Settings


class LogitJacobian(Term):
    """Squared distance of both networks' directions of the gradient, by the image, of the logit of its own class.

    Srinivas & Fleuret, ICML 2018, with unit gradients as in their eq. 10, and one logit for all of them. It needs a
    teacher of the same classes; `jacobian` does not. The networks are run again on images that take gradients, and the
    student's backward pass is differentiated: from a WRN 22-4 to a WRN 16-2 a step costs about four of row `kd`. Batch
    norms of a student in train mode take its batch into their running statistics a second time, and its images'
    gradients see each other.
    """

    def forward(self, step: Step) -> Tensor:
        """As every term. Raises UserError where the networks expect different images."""
        images = shared_images("jacobian_logits", step)

        def own_class(network: Callable[[Tensor], Output]) -> Callable[[Tensor], list[Tensor]]:
            return lambda seen: [logits(network(seen)).gather(1, step.labels[:, None]).squeeze(1)]

        (student,) = gradient_directions(own_class(step.forward_student), images, differentiable=True)
        (teacher,) = gradient_directions(own_class(step.forward_teacher), images, differentiable=False)
        return squared_distance(student, teacher)


def build_jacobian_logits(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> LogitJacobian:
    """The term of row `jacobian_logits`. Raises UserError unless both networks have the same classes."""
    check_classes("jacobian_logits", setup)
    return LogitJacobian()
