"""Correlations between a network's layers, handed down instead of its features (FSP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from retrieval.errors import UserError
from training.distillation.methods.features.maps import to_smaller
from training.distillation.methods.features.student_transforms import STUDENT_TRANSFORMS
from training.distillation.methods.features.teacher_transforms import TEACHER_TRANSFORMS
from training.distillation.methods.precision import single, without_autocast
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def flow(shallow: Tensor, deep: Tensor) -> Tensor:
    """Flow of solution procedure (Yim et al., CVPR 2017, eq. 1): how a layer's channels answer an earlier one's.

    shallow: float[n, c, h, w], deep: float[n, d, h', w'], the larger pooled to the smaller. Returns float[n, c, d],
    the mean over places of the products of their responses.
    """
    shallow, deep = to_smaller(shallow, deep)
    return shallow.flatten(2) @ deep.flatten(2).transpose(1, 2) / shallow[0, 0].numel()


class FSP(Term):
    """Mean squared difference of teacher's and student's flows between neighbouring taps, summed over those (Yim et
    al., CVPR 2017, eq. 2; mean and pooling as in RepDistiller).

    The paper's networks have the same channels at each tap; with `connector` a student of others gets connectors, as
    Heo et al. give their students. Maps of teacher and student may differ in size. Raises UserError for fewer than two
    taps, and with `none` for channels that differ.
    """

    def __init__(self, setup: Setup, settings: Settings, choices: Mapping[str, str]) -> None:
        super().__init__()
        if len(setup.taps) < 2:
            raise UserError(
                f"a flow is between two features; name at least 2 positions, got {len(setup.taps)}"
            )
        teacher = TEACHER_TRANSFORMS[choices["teacher_transform"]]
        student = STUDENT_TRANSFORMS[choices["student_transform"]]
        self.teacher_transforms = nn.ModuleList(teacher(tap, settings, choices) for tap, _ in setup.taps)
        self.student_transforms = nn.ModuleList(student(*pair, settings) for pair in setup.taps)

    def forward(self, step: Step) -> Tensor:
        """The sum over neighbouring taps, a scalar."""
        with without_autocast(step.labels):
            teacher = _transformed(self.teacher_transforms, step.teacher.taps)
            student = _transformed(self.student_transforms, step.student.taps)
            terms = [(t - s).square().mean() for t, s in zip(_flows(teacher), _flows(student), strict=True)]
            return torch.stack(terms).sum()


def _transformed(transforms: nn.ModuleList, maps: Sequence[Tensor]) -> list[Tensor]:
    return [transform(single(each)) for transform, each in zip(transforms, maps, strict=True)]


def _flows(maps: Sequence[Tensor]) -> list[Tensor]:
    return [flow(shallow, deep) for shallow, deep in pairwise(maps)]
