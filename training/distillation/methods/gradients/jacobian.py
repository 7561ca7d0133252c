"""Jacobian matching on top of attention: the student shall look where the teacher looks, and for the same reasons."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.distillation.methods.features.attention import attention_map
from training.distillation.methods.features.maps import pooled, to_smaller
from training.distillation.methods.gradients.slopes import gradient_directions, squared_distance
from training.distillation.methods.precision import single, without_autocast
from training.distillation.methods.shared_images import shared_images
from training.distillation.methods.term import Output, Step, Term


class JacobianMatching(Term):
    """The distance of attention maps + `gradients` x that of the directions of the image in which they grow.

    Srinivas & Fleuret, ICML 2018, eq. 10: at each tap the number whose gradient by the image is compared is the largest
    pixel of the attention map, gradients are made unit vectors, and the distance is the squared length of their
    difference. Our reading: that pixel is the teacher's largest for both networks, as gradients of two places
    far from each other have no pixel in common; and the squared length is divided by the attention map's h * w, because
    the distance of the maps, which are unit vectors too, is a mean over h * w: with `gradients` 1 the two count alike.
    The larger map is pooled to the smaller's size first. Neither classes nor channels need to agree.

    Both networks are run again on images that take gradients, with a backward pass a tap, and the student's are
    differentiated: from a WRN 22-4 to a WRN 16-2, with three taps, a step costs about eight of row `kd`. Batch norms
    of a student in train mode take its batch into their running statistics a second time, and its images' gradients see
    each other.
    """

    def __init__(self, matching: Term, gradients: float) -> None:
        """matching: the distance of attention maps, for the same taps. gradients: as above."""
        super().__init__()
        self.matching = matching
        self.gradients = gradients

    def forward(self, step: Step) -> Tensor:
        """As every term. Raises UserError where the networks expect different images."""
        images = shared_images("jacobian", step)
        places = [
            _largest(*to_smaller(single(teacher), single(student)))
            for teacher, student in zip(step.teacher.taps, step.student.taps, strict=True)
        ]

        def heights(network: Callable[[Tensor], Output]) -> Callable[[Tensor], list[Tensor]]:
            def forward(seen: Tensor) -> list[Tensor]:
                maps = network(seen).taps
                with without_autocast(seen):
                    return [_height(*pair) for pair in zip(maps, places, strict=True)]

            return forward

        student = gradient_directions(heights(step.forward_student), images, differentiable=True)
        teacher = gradient_directions(heights(step.forward_teacher), images, differentiable=False)
        distances = [
            squared_distance(*pair) / place[0].numel()
            for *pair, place in zip(student, teacher, places, strict=True)
        ]
        attention: Tensor = self.matching(step)
        return attention + self.gradients * torch.stack(distances).sum()


def _largest(teacher: Tensor, student: Tensor) -> Tensor:
    """bool[n, h, w]: where the teacher's attention is largest, one pixel an image; the maps are of one size."""
    attention = attention_map(teacher)
    chosen = torch.zeros_like(attention, dtype=torch.bool)
    chosen.flatten(1).scatter_(1, attention.flatten(1).argmax(1, keepdim=True), True)
    return chosen


def _height(maps: Tensor, place: Tensor) -> Tensor:
    """float[n]: the attention at one pixel an image. maps: float[n, c, h, w] of any size. place: as `_largest`."""
    height, width = place.shape[1:]
    return attention_map(pooled(single(maps), height, width)).masked_select(place)
