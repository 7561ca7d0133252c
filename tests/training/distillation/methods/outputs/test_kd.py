from __future__ import annotations

import math

import pytest
import torch

from retrieval.errors import UserError
from tests.training.distillation.methods.signal_steps import classifiers, embedders, output, step
from training.distillation.methods.outputs.kd import SoftTargets, softened_divergence, standardised
from training.distillation.methods.table import METHODS

ROW = METHODS["kd"]
LOGITS = torch.tensor([[0.3, -1.0, 2.0], [0.1, 0.0, -0.4]], dtype=torch.float64)


def test_two_classes_by_hand() -> None:
    """T = 2: the teacher says 3/4 and 1/4, the student 1/2 and 1/2."""
    teacher = torch.tensor([[2 * math.log(3), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    by_hand = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert softened_divergence(student, teacher, 2).item() == pytest.approx(by_hand, rel=1e-12)
    batch = softened_divergence(torch.cat([student, teacher]), torch.cat([teacher, teacher]), 2)
    assert batch.item() == pytest.approx(by_hand / 2, rel=1e-12)


def test_gradients() -> None:
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: softened_divergence(s, teacher, 3), (student,))
    assert torch.autograd.gradcheck(lambda s: standardised(s).square().mul(teacher).sum(), (student,))


def test_standardised_logits_by_hand() -> None:
    """-1, 0, 1 has the sample's standard deviation 1; neither offset nor scale changes the result."""
    row = torch.tensor([[-1.0, 0.0, 1.0]], dtype=torch.float64)
    for values in (row, 7 * row, row + 3):
        torch.testing.assert_close(standardised(values), row, rtol=1e-6, atol=1e-6)


def test_the_authors_settings_leave_out_the_square() -> None:
    teacher, student = LOGITS, LOGITS.flip(0)
    settings, choices = ROW.resolve({})
    plain = ROW.build(classifiers(3), settings, choices)(step(output(student), output(teacher)))
    assert plain.item() == pytest.approx(softened_divergence(student, teacher, 3).item(), rel=1e-12)
    settings, choices = ROW.resolve({"squared": True, "temperature": 4})
    squared = ROW.build(classifiers(3), settings, choices)(step(output(student), output(teacher)))
    assert squared.item() == pytest.approx(16 * softened_divergence(student, teacher, 4).item(), rel=1e-12)


def test_standardised_students_need_not_have_the_teachers_scale() -> None:
    term = SoftTargets(2.0, squared=True, standardise=True)
    assert term(step(output(0.1 * LOGITS + 4), output(LOGITS))).item() == pytest.approx(0, abs=1e-9)
    assert (
        SoftTargets(2.0, squared=True, standardise=False)(step(output(0.1 * LOGITS), output(LOGITS))).item()
        > 0.01
    )


def test_half_precision_logits_are_computed_in_single_precision() -> None:
    student, teacher = LOGITS.bfloat16(), LOGITS.flip(0).bfloat16()
    value = SoftTargets(3.0, squared=False, standardise=False)(step(output(student), output(teacher)))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, softened_divergence(student.float(), teacher.float(), 3))


@pytest.mark.parametrize("name", ["kd", "dist", "bss", "jacobian_logits"])
def test_other_classes_are_refused(name: str) -> None:
    row = METHODS[name]
    with pytest.raises(UserError, match="the teacher has 1000 classes and the student 67; dtl"):
        row.build(classifiers(1000, student=67), *row.resolve({}))
    with pytest.raises(UserError, match=f"method {name} compares logits; it needs two classifiers"):
        row.build(embedders(4, 4), *row.resolve({}))
