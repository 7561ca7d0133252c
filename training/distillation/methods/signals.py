"""What methods read from a network's output, and the check that both networks have it in matching sizes."""

from __future__ import annotations

from torch import Tensor

from retrieval.errors import UserError
from training.distillation.methods.precision import single
from training.distillation.methods.term import Output, Setup


def logits(output: Output) -> Tensor:
    """float[n, classes] of a classifier, at least float32."""
    assert output.logits is not None
    return single(output.logits)


def embedding(output: Output) -> Tensor:
    """float[n, d], unit vectors of a network for retrieval, at least float32."""
    assert output.embedding is not None
    return single(output.embedding)


def embedding_or_feature(output: Output) -> Tensor:
    """float[n, d]: the embedding of a network for retrieval, the feature of a classifier; at least float32."""
    return single(output.feature if output.embedding is None else output.embedding)


def check_classes(method: str, setup: Setup) -> None:
    """Raise UserError unless both networks are classifiers of the same number of classes."""
    teacher, student = setup.teacher_classes, setup.student_classes
    if teacher == 0 or student == 0:
        raise UserError(f"method {method} compares logits; it needs two classifiers")
    if teacher != student:
        raise UserError(
            f"method {method} compares logits, but the teacher has {teacher} classes and the student {student}; "
            "dtl is the method for a teacher of other classes"
        )


def check_embeddings(method: str, setup: Setup) -> None:
    """Raise UserError unless both networks have embeddings."""
    if setup.teacher_embedding == 0 or setup.student_embedding == 0:
        raise UserError(f"method {method} compares embeddings; it needs two networks for retrieval")
