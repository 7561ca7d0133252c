"""Relations: an image's similarities to the others of the batch shall be the teacher's.

Nothing is remembered between steps: the gallery is the batch, so large batches that hold several images of a class
say most.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from retrieval.errors import UserError
from training.distillation.methods.precision import without_autocast
from training.distillation.methods.signals import check_embeddings, embedding
from training.distillation.methods.term import Setup, Step, Term
from training.setting import Settings


def relation_divergence(student: Tensor, teacher: Tensor, gallery: Tensor, temperature: float) -> Tensor:
    """KL divergence of the student's ranking of a gallery from the teacher's ranking of its own; mean over images.

    student, teacher: float[n, d_s] and float[n, d_t], unit vectors of n queries. gallery: float[n, d_s], unit vectors
    of the same images, that the student's queries are compared with; the teacher's are compared with each other. An
    image's distribution is the softmax over the other images of cosine / temperature. Returns a scalar.
    """
    with without_autocast(student):
        return F.kl_div(
            _log_shares(student @ gallery.T, temperature),
            _log_shares(teacher @ teacher.T, temperature),
            reduction="batchmean",
            log_target=True,
        )


def _log_shares(cosines: Tensor, temperature: float) -> Tensor:
    """float[n, n] to log-probabilities float[n, n - 1]: an image says nothing of itself."""
    n = len(cosines)
    others = ~torch.eye(n, dtype=torch.bool, device=cosines.device)
    return F.log_softmax(cosines[others].view(n, n - 1) / temperature, dim=1)


class Relations(Term):
    """`relation_divergence` with the student's own embeddings as its gallery, or with the teacher's if `asymmetric`.

    The first (Roth et al. 2021) leaves the student a space of its own, of any size. The second (Wu et al. 2022, there
    with neighbours from the whole training set) puts its queries into the teacher's space.
    """

    compares_images = True

    def __init__(self, temperature: float, *, asymmetric: bool) -> None:
        super().__init__()
        self.temperature = temperature
        self.asymmetric = asymmetric

    def forward(self, step: Step) -> Tensor:
        """As every term."""
        student, teacher = step.gather(embedding(step.student)), step.gather(embedding(step.teacher))
        gallery = teacher if self.asymmetric else student
        return relation_divergence(student, teacher, gallery, self.temperature)


def build_relations(setup: Setup, settings: Settings, choices: Mapping[str, str]) -> Relations:
    """The term of row `relations`. Raises UserError for sizes that differ if the gallery is the teacher's."""
    check_embeddings("relations", setup)
    asymmetric = choices["gallery"] == "teacher"
    student, teacher = setup.student_embedding, setup.teacher_embedding
    if asymmetric and student != teacher:
        raise UserError(
            f"method relations: the student's embedding has {student} numbers, the teacher's {teacher}; give the "
            "student the teacher's size, or set gallery: student"
        )
    return Relations(float(settings["temperature"]), asymmetric=asymmetric)
