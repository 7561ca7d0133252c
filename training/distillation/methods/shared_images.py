"""Images that both networks see alike, for terms that change them or look at slopes along them."""

from __future__ import annotations

import torch
from torch import Tensor

from retrieval.errors import UserError
from training.distillation.methods.term import Step


def shared_images(method: str, step: Step) -> Tensor:
    """float[n, 3, h, w], what both networks were shown, cut from the graph.

    Raises UserError where they expect different images: their sizes or their mean and std differ.
    """
    student, teacher = step.student_images, step.teacher_images
    if student is not teacher and (student.shape != teacher.shape or not torch.equal(student, teacher)):
        raise UserError(
            f"method {method} shows both networks the same images; "
            "take a student with the teacher's pixels, mean and std, or leave the method out"
        )
    return student.detach()
