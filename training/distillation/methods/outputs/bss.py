"""BSS: output distillation on the batch and on images beside the teacher's decision boundary."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from training.batch_part import BatchPart, whole
from training.distillation.methods.outputs.boundary_attack import boundary_attack
from training.distillation.methods.shared_images import shared_images
from training.distillation.methods.signals import check_classes, logits
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def softened_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of softmax(student / T) under softmax(teacher / T), the mean over images.

    student, teacher: logits float[n, classes]. Returns a scalar.
    """
    return F.cross_entropy(student / temperature, (teacher / temperature).softmax(1))


def base_samples(student: Tensor, teacher: Tensor, labels: Tensor, most: int) -> Tensor:
    """Which images are worth attacking: both networks are right, and disagree on the other classes.

    student, teacher: logits float[n, classes]. labels: int64[n]. Returns int64[m], m <= most, those with the largest
    sum over wrong classes of squared differences of probabilities.
    """
    right = ((student.argmax(1) == labels) & (teacher.argmax(1) == labels)).nonzero().squeeze(1)
    differences = (student[right].softmax(1) - teacher[right].softmax(1)).square()
    scores = differences.scatter(1, labels[right, None], 0).sum(1)
    return right[scores.topk(min(most, len(right))).indices]


def target_classes(teacher: Tensor, labels: Tensor) -> Tensor:
    """A wrong class for each image, drawn with the teacher's probability of it among the wrong ones.

    teacher: logits float[n, classes]. labels: int64[n]. Returns int64[n].
    """
    wrong = teacher.scatter(1, labels[:, None], -torch.inf)
    return torch.multinomial(wrong.softmax(1), 1).squeeze(1)


class BoundarySupport(Term):
    """alpha x cross-entropy on the batch + beta x cross-entropy on attacked images, softened (Heo et al. 2019).

    alpha falls linearly from `alpha_start` to `alpha_end` over the stage, beta from `beta_start` to 0 at the share
    `beta_until` of it. The cross-entropy with the labels is the loop's. While beta > 0 a step costs up to `steps` + 1
    passes of the teacher, `steps` of them also back to the images, and a pass of the student, for up to `samples`
    images; the student's batch norms see these.
    The teacher must be in eval mode. Many processes choose from the whole batch and share the attacks.
    """

    compares_images = True

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.temperature = float(settings["temperature"])
        self.alpha_start, self.alpha_end = float(settings["alpha_start"]), float(settings["alpha_end"])
        self.beta_start, self.beta_until = float(settings["beta_start"]), float(settings["beta_until"])
        self.samples, self.steps = int(settings["samples"]), int(settings["steps"])
        self.rate, self.bound = float(settings["rate"]), float(settings["bound"])

    def alpha(self, progress: float) -> float:
        """The weight of the batch."""
        return self.alpha_end + (self.alpha_start - self.alpha_end) * (1 - progress)

    def beta(self, progress: float) -> float:
        """The weight of the attacked images."""
        return self.beta_start * max(1 - progress / self.beta_until, 0)

    def forward(self, step: Step) -> Tensor:
        """As every term. Raises UserError where the networks expect different images."""
        student, teacher = step.gather(logits(step.student)), step.gather(logits(step.teacher))
        value = self.alpha(step.progress) * softened_cross_entropy(student, teacher, self.temperature)
        beta = self.beta(step.progress)
        if beta == 0:
            return value
        images, labels = step.gather(shared_images("bss", step)), step.gather(step.labels)
        base = base_samples(student.detach(), teacher, labels, self.samples)
        if len(base) == 0:
            return value
        target = target_classes(teacher[base], labels[base])
        # Fewer images than processes are everyone's, because a part without images has no forward pass.
        processes = 1 if step.part is None else len(step.part.sizes)
        part = whole(len(base))
        if step.part is not None and len(base) >= processes:
            part = BatchPart.of(len(base), step.part.process, processes)
        own = base[part.own]
        attacked, teacher = boundary_attack(
            lambda moved: logits(step.forward_teacher(moved)),
            images[own],
            labels[own],
            target[part.own],
            steps=self.steps,
            rate=self.rate,
            bound=self.bound,
        )
        student = part.gather(logits(step.forward_student(attacked)))
        return value + beta * softened_cross_entropy(student, part.gather(teacher), self.temperature)


def build_bss(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> BoundarySupport:
    """The term of row `bss`. Raises UserError unless both networks have the same classes."""
    check_classes("bss", setup)
    return BoundarySupport(settings)
