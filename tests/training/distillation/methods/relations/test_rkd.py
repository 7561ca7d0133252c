"""RKD against loops over pairs and triples."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from tests.training.distillation.methods.signal_steps import embedders, output, step
from training.distillation.methods.relations.relation_methods import RELATION_METHODS
from training.distillation.methods.relations.rkd import RelationalDistillation, angles, relative_distances

ROW = {row.name: row for row in RELATION_METHODS}["rkd"]


def draw(seed: int, size: int) -> Tensor:
    return torch.randn(5, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def huber(difference: float) -> float:
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def lengths(x: Tensor) -> list[list[float]]:
    n = len(x)
    plain = [[math.dist(x[i].tolist(), x[j].tolist()) for j in range(n)] for i in range(n)]
    mean = sum(map(sum, plain)) / (n * (n - 1))
    return [[value / mean for value in row] for row in plain]


def cosine(x: Tensor, i: int, j: int, k: int) -> float:
    if j in (i, k):
        return 0.0
    a, b = x[i] - x[j], x[k] - x[j]
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def test_pairs_and_triples_in_loops() -> None:
    student, teacher = draw(0, 3), draw(1, 6)
    pairs, triples = itertools.product(range(5), repeat=2), itertools.product(range(5), repeat=3)
    s, t = lengths(student), lengths(teacher)
    distance = sum(huber(s[i][j] - t[i][j]) for i, j in pairs) / 25
    angle = sum(huber(cosine(student, *ijk) - cosine(teacher, *ijk)) for ijk in triples) / 125
    made = step(output(embedding=student), output(embedding=teacher))
    for weights in ((25, 50), (1, 0), (0, 1)):
        value = RelationalDistillation(*map(float, weights))(made)
        assert value.item() == pytest.approx(weights[0] * distance + weights[1] * angle, rel=1e-9)


def test_a_right_triangle_by_hand() -> None:
    """Legs 3 and 4: distances 3, 4, 5 with mean 4; the angle at the corner is 90 degrees."""
    corner = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    found = relative_distances(corner)
    assert found[0, 1].item() == pytest.approx(0.75)
    assert found[0, 2].item() == pytest.approx(1.0)
    assert found[1, 2].item() == pytest.approx(1.25)
    cosines = angles(corner)
    assert cosines[0, 1, 2].item() == pytest.approx(0, abs=1e-12)
    assert cosines[1, 0, 2].item() == pytest.approx(3 / 5)
    assert cosines[2, 0, 1].item() == pytest.approx(4 / 5)


def test_moved_turned_and_scaled_students_cost_nothing() -> None:
    teacher = draw(0, 4)
    turned, _ = torch.linalg.qr(draw(1, 4)[:4])
    made = step(output(embedding=3 * teacher @ turned + 7), output(embedding=teacher))
    assert RelationalDistillation(25.0, 50.0)(made).item() == pytest.approx(0, abs=1e-12)


def test_gradients() -> None:
    student, teacher = draw(0, 3).requires_grad_(), draw(1, 3)
    term = RelationalDistillation(1.0, 2.0)

    def value(x: Tensor) -> Tensor:
        found: Tensor = term(step(output(embedding=x), output(embedding=teacher)))
        return found

    assert torch.autograd.gradcheck(value, (student,))


def test_images_with_the_same_feature_have_finite_slopes() -> None:
    for student in (torch.ones(4, 3), torch.tensor([[0.0, 1], [0, 1], [1, 0], [2, 2]])):
        student.requires_grad_()
        value = RelationalDistillation(25.0, 50.0)(
            step(output(embedding=student), output(embedding=torch.randn(4, 3)))
        )
        value.backward()
        assert torch.isfinite(value)
        assert student.grad is not None
        assert student.grad.abs().max() < 1e3


def test_single_precision_under_autocast() -> None:
    student, teacher = draw(0, 3).float(), draw(1, 3).float()
    term = ROW.build(embedders(3, 3), *ROW.resolve({}))
    made = step(output(embedding=student), output(embedding=teacher))
    expected = term(made)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(term(made), expected)


def test_classifiers_are_compared_by_their_feature() -> None:
    student, teacher = draw(0, 3), draw(1, 6)
    term = RelationalDistillation(25.0, 50.0)
    embedded = term(step(output(embedding=student), output(embedding=teacher)))
    assert torch.equal(term(step(output(logits=student), output(logits=teacher))), embedded)
