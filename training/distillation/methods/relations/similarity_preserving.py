"""Similarity-preserving distillation: images that are alike to the teacher shall be alike to the student."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from training.distillation.methods.directions import directions
from training.distillation.methods.precision import single, without_autocast
from training.distillation.methods.term import Output, Setup, Step, Term
from training.setting import Settings


def similarity_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """|G_t - G_s|^2 / n^2, G the products of all pairs of a batch with rows of unit length (Tung & Mori, ICCV 2019).

    student, teacher: float[n, ...] of any sizes. Returns a scalar.
    """
    return (_similarities(student) - _similarities(teacher)).square().mean()


def _similarities(signals: Tensor) -> Tensor:
    flat = single(signals).flatten(1)
    with without_autocast(flat):
        return directions(flat @ flat.T)


class SimilarityPreserving(Term):
    """`similarity_difference` of the deepest map, of all maps (summed), or of the pooled feature."""

    compares_images = True

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of

    def forward(self, step: Step) -> Tensor:
        """As every term."""
        pairs = zip(self._signals(step.student), self._signals(step.teacher), strict=True)
        return torch.stack(
            [similarity_difference(step.gather(student), step.gather(teacher)) for student, teacher in pairs]
        ).sum()

    def _signals(self, output: Output) -> tuple[Tensor, ...]:
        if self.of == "feature":
            return (output.feature,)
        return output.taps[-1:] if self.of == "last_map" else output.taps


def build_similarity_preserving(
    setup: Setup, settings: Settings, choices: Mapping[str, str]
) -> SimilarityPreserving:
    """The term of row `similarity_preserving`."""
    return SimilarityPreserving(choices["of"])
