"""A head start for a student of the teacher's embeddings: its last linear layer by ridge regression.

A linear layer that starts at random sends all that the backbone's weights know through noise, and much of the first
epochs goes into undoing that. What is linear in the task has a solution in closed form.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from retrieval.errors import UserError
from retrieval.networks import Ensemble
from retrieval.networks.head import Head
from training.distillation.sides import Side


def linear_layer(network: nn.Module) -> tuple[nn.Linear, nn.BatchNorm1d]:
    """The linear layer of a one-headed network's reduction, and its batch norm. Raises UserError if it has none."""
    heads = [cast(Head, head) for head in network.heads] if isinstance(network, Ensemble) else []
    if len(heads) != 1 or not isinstance(heads[0].reduction, nn.Sequential):
        raise UserError(
            "regression fits the linear layer of a student with one head that has `reduction: linear`; "
            "give it such a head, or leave out regression"
        )
    linear, norm = heads[0].reduction
    return cast(nn.Linear, linear), cast(nn.BatchNorm1d, norm)


@torch.no_grad()
def fit_linear_layer(
    student: Side, teacher: Side, views: Iterable[tuple[Tensor, Tensor]], strength: float
) -> float:
    """Set the student's linear layer so that its output comes as near as it can to the teacher's embeddings,
    times the root of their length.

    views: batches of images for the student and for the teacher, float[n, 3, h, w] each. strength: of the ridge,
    relative to the mean variance of the inputs. Returns the share of the embeddings' variance that is explained, on the
    views themselves. Both networks are left in eval mode. Raises UserError where there is no such layer, or one of
    another size than the teacher's embedding.
    """
    linear, norm = linear_layer(student.network)
    if linear.out_features != teacher.embedding_size:
        raise UserError(
            f"regression fits the student's linear layer, of size {linear.out_features}, to the teacher's embeddings "
            f"of {teacher.embedding_size} numbers; give the student's head that size, or leave out regression"
        )
    seen: list[Tensor] = []

    def note(_: nn.Module, inputs: Any) -> None:
        seen.append(inputs[0].double())

    student.eval()
    teacher.eval()
    wanted = []
    handle = linear.register_forward_pre_hook(note)
    try:
        for own, theirs in views:
            student(own)
            embedding = teacher(theirs).embedding
            assert embedding is not None
            # Unit vectors of d values have small ones; a feature, which the class loss sees too, is of the order of 1.
            wanted.append(embedding.double() * embedding.shape[1] ** 0.5)
    finally:
        handle.remove()
    inputs, targets = torch.cat(seen), torch.cat(wanted)
    input_mean, target_mean = inputs.mean(0), targets.mean(0)
    x, y = inputs - input_mean, targets - target_mean
    covariance = x.T @ x / len(x)
    ridge = strength * covariance.diagonal().mean() * torch.eye(len(covariance), device=x.device).double()
    weights = torch.linalg.solve(covariance + ridge, x.T @ y / len(x))
    fitted = x @ weights

    linear.weight.copy_(weights.T)
    linear.bias.zero_()
    # The batch norm behind it takes the outputs' mean and deviation away; its own weights give them back.
    deviation = fitted.std(0, correction=0).clamp(min=1e-6)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(input_mean @ weights)
    norm.running_var.copy_(deviation.square())
    norm.weight.copy_((deviation.square() + norm.eps).sqrt())
    norm.bias.copy_(target_mean)
    return float(1 - (y - fitted).square().sum() / y.square().sum())
