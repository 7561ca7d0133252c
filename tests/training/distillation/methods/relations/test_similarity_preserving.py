from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.training.distillation.methods.signal_steps import classifiers, output, step
from training.distillation.methods.relations.relation_methods import RELATION_METHODS
from training.distillation.methods.relations.similarity_preserving import (
    SimilarityPreserving,
    similarity_difference,
)

ROW = {row.name: row for row in RELATION_METHODS}["similarity_preserving"]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(student: Tensor, teacher: Tensor) -> float:
    n, total = len(student), 0.0
    rows = []
    for signals in (student, teacher):
        products = [[float((signals[i] * signals[j]).sum()) for j in range(n)] for i in range(n)]
        rows.append([[value / sum(v * v for v in row) ** 0.5 for value in row] for row in products])
    for i in range(n):
        for j in range(n):
            total += (rows[0][i][j] - rows[1][i][j]) ** 2
    return total / n**2


def test_in_loops_on_maps_of_different_sizes() -> None:
    student, teacher = draw(0, 4, 2, 3, 3), draw(1, 4, 5, 2, 2)
    value = similarity_difference(student, teacher)
    assert value.item() == pytest.approx(naive(student, teacher), rel=1e-9)


def test_by_hand() -> None:
    """Orthogonal images have rows (1, 0) and (0, 1), equal ones (1, 1) / sqrt 2."""
    apart, same = torch.eye(2, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    expected = (2 * 0.5 + 2 * (1 - 0.5**0.5) ** 2) / 4
    assert similarity_difference(same, apart).item() == pytest.approx(expected)
    assert similarity_difference(4 * apart, apart).item() == pytest.approx(0, abs=1e-12)


def test_gradients() -> None:
    student, teacher = draw(0, 4, 2, 2, 2).requires_grad_(), draw(1, 4, 3)
    assert torch.autograd.gradcheck(lambda s: similarity_difference(s, teacher), (student,))


def test_which_maps() -> None:
    student = (draw(0, 4, 2, 3, 3), draw(1, 4, 4, 2, 2))
    teacher = (draw(2, 4, 3, 3, 3), draw(3, 4, 6, 2, 2))
    made = step(
        output(logits=draw(4, 4, 5), taps=student),
        output(logits=draw(5, 4, 5), taps=teacher),
    )
    first, last = (naive(s, t) for s, t in zip(student, teacher, strict=True))
    assert SimilarityPreserving("last_map")(made).item() == pytest.approx(last)
    assert SimilarityPreserving("all_maps")(made).item() == pytest.approx(first + last)
    pooled = naive(made.student.feature, made.teacher.feature)
    assert SimilarityPreserving("feature")(made).item() == pytest.approx(pooled)


def test_dead_maps_have_finite_slopes() -> None:
    student = torch.zeros(3, 2, 2, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(similarity_difference(student, torch.randn(3, 4)), student)
    assert torch.isfinite(slope).all()


def test_single_precision_under_autocast_and_for_half_types() -> None:
    student, teacher = draw(0, 4, 6).bfloat16(), draw(1, 4, 6).bfloat16()
    expected = similarity_difference(student.float(), teacher.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = similarity_difference(student, teacher)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


def test_its_row() -> None:
    term = ROW.build(classifiers(), *ROW.resolve({"of": "feature"}))
    assert isinstance(term, SimilarityPreserving)
    assert term.of == "feature"
    assert (ROW.weight, ROW.position) == (3000, "end")
