"""Embedding matching: the student shall give each image the teacher's embedding."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.errors import UserError
from training.distillation.methods.precision import without_autocast
from training.distillation.methods.signals import check_embeddings, embedding
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cosine, the mean over images; half the mean squared distance of the unit vectors.

    student, teacher: float[n, d]. Returns a scalar in [0, 2].
    """
    return 1 - F.cosine_similarity(student, teacher, dim=1).mean()


class EmbeddingMatching(Term):
    """`cosine_distance` of the embeddings; with `connector`, of the student's after a learned linear map.

    The map is left behind after training: a student that learnt through it has a space of its own, so its queries
    cannot search a gallery of the teacher's embeddings. For that the sizes must be equal and the connector absent.
    """

    def __init__(self, connector: nn.Linear | None = None) -> None:
        super().__init__()
        self.connector = connector

    def forward(self, step: Step) -> Tensor:
        """As every term."""
        student = embedding(step.student)
        if self.connector is not None:
            with without_autocast(student):
                student = self.connector(student)
        return cosine_distance(student, embedding(step.teacher))


def build_embedding_matching(
    setup: Setup, settings: Settings, choices: Mapping[str, str]
) -> EmbeddingMatching:
    """The term of row `embedding_matching`. Raises UserError for sizes that differ, unless the connector is linear."""
    check_embeddings("embedding_matching", setup)
    student, teacher = setup.student_embedding, setup.teacher_embedding
    if choices["connector"] == "linear":
        return EmbeddingMatching(nn.Linear(student, teacher, bias=False))
    if student != teacher:
        raise UserError(
            f"method embedding_matching: the student's embedding has {student} numbers, the teacher's {teacher}; give "
            "the student the teacher's size, or set connector: linear (its queries then cannot search the teacher's "
            "gallery)"
        )
    return EmbeddingMatching()
