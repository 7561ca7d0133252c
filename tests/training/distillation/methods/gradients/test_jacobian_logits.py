from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from retrieval.errors import UserError
from tests.training.distillation.methods.signal_steps import classifiers, step_of, tiny_classifier
from training.distillation.methods.gradients.jacobian_logits import LogitJacobian
from training.distillation.methods.table import METHODS

ROW = METHODS["jacobian_logits"]


def linear(rows: list[list[float]]) -> nn.Sequential:
    """Logits that are linear in an image of 3 values: the gradients are the rows."""
    layer = nn.Linear(3, len(rows), bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(rows, dtype=torch.float64)
    return nn.Sequential(nn.Flatten(), layer)


def test_by_hand_on_linear_classifiers() -> None:
    """Class 0: the same direction, 0. Class 1: (1, 0, 0) against (0, 1, 0), 2. Two images of each."""
    student, teacher = linear([[5, 5, 0], [1, 0, 0]]), linear([[1, 1, 0], [0, 3, 0]])
    images = torch.randn(4, 3, 1, 1, dtype=torch.float64)
    made = step_of(student, teacher, images, torch.tensor([0, 1, 0, 1]))
    assert LogitJacobian()(made).item() == pytest.approx((2 + 2) / 4, rel=1e-9)


def test_training_by_it_alone_turns_the_gradients_round() -> None:
    student, teacher = tiny_classifier(1), tiny_classifier(0).eval()
    images = torch.randn(8, 3, 6, 6)
    labels = torch.randint(4, (8,))
    optimiser = torch.optim.Adam(student.parameters(), lr=0.02)
    values = []
    for _ in range(30):
        value = LogitJacobian()(step_of(student, teacher, images, labels))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_under_autocast() -> None:
    student, teacher = tiny_classifier(1), tiny_classifier(0).eval()
    images, labels = torch.randn(8, 3, 6, 6), torch.randint(4, (8,))
    plain = LogitJacobian()(step_of(student, teacher, images, labels))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = LogitJacobian()(step_of(student, teacher, images, labels))
    value.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, plain, rtol=0.05, atol=0)
    assert all(torch.isfinite(p.grad).all() for p in student.parameters() if p.grad is not None)


def test_networks_that_expect_different_images_are_refused() -> None:
    student, teacher = tiny_classifier(1), tiny_classifier(0)
    made = step_of(student, teacher, torch.randn(2, 3, 6, 6), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="method jacobian_logits shows both networks the same images"):
        LogitJacobian()(replace(made, teacher_images=torch.zeros(2, 3, 6, 6)))


def test_its_row() -> None:
    assert isinstance(ROW.build(classifiers(), *ROW.resolve({})), LogitJacobian)
    assert ROW.needs == ("logits",)
