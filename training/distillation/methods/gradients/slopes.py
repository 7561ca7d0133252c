"""How a network's answers change with the image: the directions of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.distillation.methods.directions import directions
from training.distillation.methods.precision import single


def gradient_directions(
    forward: Callable[[Tensor], Sequence[Tensor]], images: Tensor, *, differentiable: bool
) -> list[Tensor]:
    """Directions of the gradients of numbers, that a network makes of each image, by that image.

    forward: images to some numbers each, every one as float[n]. images: float[n, 3, h, w]. differentiable: whether the
    result carries gradients to the network's weights. Returns float[n, 3 * h * w] for each number, unit vectors. It
    takes a backward pass for each, through the layers in front of it. Where a batch norm uses the batch's statistics,
    an image's gradient has a part from the other images' numbers.
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        gradients = [
            torch.autograd.grad(number.sum(), images, create_graph=differentiable, retain_graph=True)[0]
            for number in forward(images)
        ]
        return [directions(single(gradient).flatten(1)) for gradient in gradients]


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared length of the difference of vectors float[n, d], the mean over images: a scalar.

    Between unit vectors it is 0 for the same direction, 2 for directions that have nothing to do with each other, and
    4 for opposite ones, whatever the size of the image.
    """
    return (a - b).square().sum(1).mean()
