"""A student that begins as a part of its teacher.

A light student is often a piece of the ensemble that teaches it: the same trunk, one of the heads or less of it, at
fewer pixels. Its blocks then need not start from ImageNet: the teacher's fit them, as DistilBERT starts (Sanh et al.
2019).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from retrieval.errors import UserError
from retrieval.networks import Ensemble, EnsembleSpec


def inherited_spec(spec: EnsembleSpec, teacher: nn.Module) -> EnsembleSpec:
    """What a student of this spec is built as, to inherit from this teacher: whitened as the teacher is if its features
    will begin as the teacher's, otherwise as the spec says.
    """
    if not isinstance(teacher, Ensemble):
        return spec
    # `inherit` leaves these as they are.
    own = any(head.reduction == "linear" or head.pool == "gem" or head.attention for head in spec.heads)
    # What the student shares must be shared by the teacher's heads, or it can be one head's alone.
    shared = spec.share_until <= teacher.spec.share_until
    alike = _features(spec) == _features(teacher.spec)
    return replace(spec, whitened=teacher.spec.whitened) if alike and shared and not own else spec


def _features(spec: EnsembleSpec) -> EnsembleSpec:
    """A spec less what makes no difference to its features if its blocks have the weights."""
    heads = tuple(replace(head, lr=1.0) for head in spec.heads)
    return replace(spec, heads=heads, share_until="B1", mirror=False, whitened=None)


@torch.no_grad()
def inherit(student: nn.Module, teacher: nn.Module) -> float:
    """Fill the student's backbone, and its whitening if it has one, in place, with the teacher's weights and batch-norm
    statistics, and return the share of its parameters that are the teacher's now.

    A block comes from wherever the teacher has it: from its trunk, or from the head that has most of what the student's
    trunk or head needs, and least beside it. What the teacher lacks, or has in another shape, stays as it is. Raises
    UserError for networks of different backbones, and for those that do not embed.
    """
    if not (isinstance(student, Ensemble) and isinstance(teacher, Ensemble)):
        raise UserError("only a network that embeds can inherit, from one that embeds; set inherit: false")
    if student.spec.backbone != teacher.spec.backbone:
        raise UserError(
            f"the student is a {student.spec.backbone} and its teacher a {teacher.spec.backbone}, so it can inherit "
            "nothing; set inherit: false"
        )
    trunk, *heads = _backbone_of(teacher)
    inherited = 0
    for own in _backbone_of(student):
        nearest = max(heads, key=lambda head: (len(_common(own, head)), -len(head)))
        found = _common(own, nearest) | _common(own, trunk)
        for name, tensor in found.items():
            own[name].copy_(tensor)
            inherited += tensor.numel() if isinstance(own[name], nn.Parameter) else 0
    if student.whitening is not None and teacher.whitening is not None:
        student.whitening.load_state_dict(teacher.whitening.state_dict())
    return inherited / sum(parameter.numel() for parameter in student.parameters())


def _backbone_of(network: Ensemble) -> list[dict[str, Tensor]]:
    """Of the trunk, then of each head: the tensors of stem, blocks and tail by their names in the backbone."""
    return [
        {
            name: tensor
            for name, tensor in part.state_dict(keep_vars=True).items()
            if name.startswith(("stem.", "groups.", "tail."))
        }
        for part in (network.trunk, *network.heads)
    ]


def _common(own: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of `other` that fit."""
    return {name: other[name] for name in own if name in other and other[name].shape == own[name].shape}
