from __future__ import annotations

import pytest
import torch

from retrieval.errors import UserError
from tests.training.distillation.methods.signal_steps import classifiers, embedders, output, step
from training.distillation.methods.outputs.dtl import TransferLogits, centred_difference
from training.distillation.methods.outputs.output_methods import OUTPUT_METHODS

ROW = {row.name: row for row in OUTPUT_METHODS}["dtl"]


def test_by_hand_and_blind_to_the_mean() -> None:
    teacher = torch.tensor([[1.0, 3.0]], dtype=torch.float64)  # centred: -1, 1
    student = torch.tensor([[9.0, 9.0]], dtype=torch.float64)  # centred: 0, 0
    assert centred_difference(student, teacher).item() == 1
    assert centred_difference(teacher + 5, teacher).item() == 0
    both = centred_difference(torch.cat([student, teacher]), torch.cat([teacher, teacher]))
    assert both.item() == 0.5


def test_gradients() -> None:
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: centred_difference(s, teacher), (student,))


def test_the_layer_maps_the_students_feature_to_the_teachers_classes() -> None:
    term = ROW.build(classifiers(7, student=2, hidden=5), *ROW.resolve({}))
    assert isinstance(term, TransferLogits)
    feature = torch.randn(3, 5, requires_grad=True)
    teacher = torch.randn(3, 7)
    value = term(step(output(feature), output(teacher)))
    said = feature @ term.classifier.weight.T + term.classifier.bias
    torch.testing.assert_close(value, centred_difference(said, teacher))
    value.backward()
    assert feature.grad is not None
    assert term.classifier.weight.grad is not None


def test_single_precision_under_autocast() -> None:
    term = TransferLogits(5, 7)
    feature, teacher = torch.randn(3, 5), torch.randn(3, 7)
    expected = term(step(output(feature), output(teacher)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(term(step(output(feature), output(teacher))), expected)


def test_a_teacher_without_classes_is_refused() -> None:
    with pytest.raises(UserError, match="needs a teacher with classes"):
        ROW.build(embedders(4, 4), *ROW.resolve({}))


def test_its_place() -> None:
    assert (ROW.weight, ROW.stage, ROW.needs) == (10, "both", ("teacher_logits",))
