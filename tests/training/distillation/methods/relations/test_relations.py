from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from retrieval.errors import UserError
from tests.training.distillation.methods.signal_steps import embedders, output, step
from training.distillation.methods.relations.relation_methods import RELATION_METHODS
from training.distillation.methods.relations.relations import relation_divergence

ROW = {row.name: row for row in RELATION_METHODS}["relations"]


def draw(seed: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(5, size, generator=generator, dtype=torch.float64), dim=1)


def shares(query: Tensor, gallery: Tensor, own: int, temperature: float) -> dict[int, float]:
    powers = {j: math.exp(float(query @ gallery[j]) / temperature) for j in range(len(gallery)) if j != own}
    return {j: power / sum(powers.values()) for j, power in powers.items()}


def naive(student: Tensor, teacher: Tensor, gallery: Tensor, temperature: float) -> float:
    total = 0.0
    for i in range(len(student)):
        wanted = shares(teacher[i], teacher, i, temperature)
        found = shares(student[i], gallery, i, temperature)
        total += sum(wanted[j] * math.log(wanted[j] / found[j]) for j in wanted)
    return total / len(student)


def value_of(student: Tensor, teacher: Tensor, **given: object) -> Tensor:
    setup = embedders(student.shape[1], teacher.shape[1])
    value: Tensor = ROW.build(setup, *ROW.resolve(given))(
        step(output(embedding=student), output(embedding=teacher))
    )
    return value


def test_both_galleries_in_loops() -> None:
    student, teacher = draw(0, 3), draw(1, 6)
    own = value_of(student, teacher, temperature=0.2)
    assert own.item() == pytest.approx(naive(student, teacher, student, 0.2), rel=1e-9)
    student = draw(2, 6)
    asymmetric = value_of(student, teacher, gallery="teacher", temperature=0.2)
    assert asymmetric.item() == pytest.approx(naive(student, teacher, teacher, 0.2), rel=1e-9)


def test_three_images_by_hand() -> None:
    """To the teacher the others of each image are alike; the student sees cosines 1 and 0 once, T = 1/ln 3."""
    teacher = torch.eye(3, dtype=torch.float64)
    student = torch.tensor([[1.0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    skew = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    found = relation_divergence(student, teacher, student, 1 / math.log(3))
    assert found.item() == pytest.approx(2 * skew / 3)


def test_a_turned_space_is_as_good_unless_the_gallery_is_the_teachers() -> None:
    teacher = draw(0, 4)
    turned, _ = torch.linalg.qr(draw(1, 4)[:4])
    student = teacher @ turned
    assert value_of(student, teacher).item() == pytest.approx(0, abs=1e-9)
    assert value_of(student, teacher, gallery="teacher").item() > 0.1
    assert value_of(teacher, teacher, gallery="teacher").item() == pytest.approx(0, abs=1e-9)


def test_gradients() -> None:
    student, teacher = draw(0, 3).requires_grad_(), draw(1, 3)
    assert torch.autograd.gradcheck(lambda s: relation_divergence(s, teacher, s, 0.3), (student,))
    assert torch.autograd.gradcheck(lambda s: relation_divergence(s, teacher, teacher, 0.3), (student,))


def test_single_precision_under_autocast() -> None:
    student, teacher = draw(0, 3).float(), draw(1, 3).float()
    expected = value_of(student, teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(value_of(student, teacher), expected)


def test_the_teachers_gallery_needs_the_teachers_size() -> None:
    with pytest.raises(UserError, match="or set gallery: student"):
        value_of(draw(0, 3), draw(1, 6), gallery="teacher")
