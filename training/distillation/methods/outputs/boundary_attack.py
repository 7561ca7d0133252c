"""Images moved across the teacher's decision boundary: the boundary supporting samples of BSS."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.distillation.methods.precision import single

OVERSHOOT = 1e-4
"""Added to the difference of logits that a step closes, so that the boundary is crossed and not only approached."""


def boundary_attack(
    forward: Callable[[Tensor], Tensor],
    images: Tensor,
    base: Tensor,
    target: Tensor,
    *,
    steps: int,
    rate: float,
    bound: float,
) -> tuple[Tensor, Tensor]:
    """Move each image until the network no longer says `base`, at most `steps` times.

    forward: images to logits float[n, classes], each image's by itself (batch norms in eval mode). images:
    float[n, 3, h, w]. base, target: int64[n], the class that the network says now and the one to move towards; any
    change of mind ends the way. Returns images as float[n, 3, h, w], every value within +-bound, and what the network
    says of them, float[n, classes]; both without gradient.

    A step is one pass forward and one back to the images, not to the weights, for those that still move.

    Heo et al., AAAI 2019, as their code has it: with g the gradient of z_target - z_base,
    x <- x + rate * (z_base - z_target + 1e-4) * g / |g|. Their paper divides by the squared length.
    """
    attacked = images.detach().clone()
    moving = torch.arange(len(images), device=images.device)
    for taken in range(steps + 1):
        with torch.set_grad_enabled(taken < steps):
            current = attacked[moving].requires_grad_()
            scores = single(forward(current))
        if taken == 0:
            said = scores.detach().clone()
        else:
            said[moving] = scores.detach()
        undecided = scores.argmax(1) == base[moving]
        if taken == steps or not undecided.any():
            break
        gap = (scores.gather(1, base[moving, None]) - scores.gather(1, target[moving, None])).squeeze(1)
        (gradient,) = torch.autograd.grad(-gap.sum(), current)
        length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
        size = rate * (gap.detach() + OVERSHOOT) / length
        moved = (current.detach() + size[:, None, None, None] * gradient).clamp(-bound, bound)
        moving = moving[undecided]
        attacked[moving] = moved[undecided]
    return attacked, said
