from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from retrieval.errors import UserError
from tests.training.distillation.methods.signal_steps import classifiers, step_of, tiny_classifier
from training.distillation.methods.outputs.boundary_attack import boundary_attack
from training.distillation.methods.outputs.bss import (
    BoundarySupport,
    base_samples,
    softened_cross_entropy,
    target_classes,
)
from training.distillation.methods.outputs.output_methods import OUTPUT_METHODS

ROW = {row.name: row for row in OUTPUT_METHODS}["bss"]


def build(**settings: float) -> BoundarySupport:
    term = ROW.build(classifiers(), *ROW.resolve(settings))
    assert isinstance(term, BoundarySupport)
    return term


def test_the_schedules_of_one_run() -> None:
    term = build()
    assert [term.alpha(p) for p in (0, 0.5, 1)] == [4, 2.5, 1]
    assert [term.beta(p) for p in (0, 0.375, 0.75, 0.9)] == [2, 1, 0, 0]


def test_cross_entropy_in_a_loop_without_the_square() -> None:
    student, teacher = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    total = 0.0
    for s, t in zip(student / 3, teacher / 3, strict=True):
        p, q = s.exp() / s.exp().sum(), t.exp() / t.exp().sum()
        total -= sum(float(q[k] * p[k].log()) for k in range(4))
    assert softened_cross_entropy(student, teacher, 3).item() == pytest.approx(total / 3, rel=1e-12)
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: softened_cross_entropy(s, teacher, 3), (student,))


def test_base_samples_are_right_to_both_and_disputed_most() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1])
    teacher = torch.eye(3)[labels] * 4
    student = teacher.clone()
    student[0, 1] = 1.0  # a little dispute
    student[3, 2] = 3.0  # much
    student[1] = torch.tensor([5.0, 0.0, 0.0])  # the student is wrong
    teacher[2] = torch.tensor([5.0, 0.0, 0.0])  # the teacher is wrong
    assert base_samples(student, teacher, labels, 2).tolist() == [3, 0]
    assert base_samples(student, teacher, labels, 64).tolist() == [3, 0, 4]
    assert base_samples(student[1:3], teacher[1:3], labels[1:3], 64).tolist() == []


def test_the_true_class_does_not_count_as_dispute() -> None:
    """Both sums of squares are dominated by the true class; the wrong classes decide the other way round."""
    teacher = torch.tensor([[0.98, 0.01, 0.01], [0.9, 0.05, 0.05]]).log()
    student = torch.tensor([[0.6, 0.2, 0.2], [0.6, 0.38, 0.02]]).log()
    everything = (teacher.exp() - student.exp()).square().sum(1)
    assert everything[0] > everything[1]
    assert base_samples(student, teacher, torch.zeros(2, dtype=torch.int64), 1).tolist() == [1]


def test_target_classes_are_drawn_by_the_teachers_probability() -> None:
    torch.manual_seed(0)
    row = torch.tensor([0.6, 0.1, 0.3]).log()
    drawn = target_classes(row.expand(4000, 3), torch.zeros(4000, dtype=torch.int64))
    shares = torch.bincount(drawn, minlength=3) / 4000
    assert shares[0] == 0
    assert shares[1].item() == pytest.approx(0.25, abs=0.03)
    sure = torch.tensor([[500.0, 0.0, -3.0]])  # in float32 the wrong classes' probabilities are zero
    assert target_classes(sure, torch.tensor([0])).item() in (1, 2)


def test_the_whole_term_step_by_step() -> None:
    teacher, student = tiny_classifier(0, scale=3.0).eval(), tiny_classifier(1).eval()
    images = torch.randn(12, 3, 6, 6)
    labels = teacher(images).argmax(1)
    made = step_of(student, teacher, images, labels, progress=0.375)
    torch.manual_seed(5)
    value = build(samples=2)(made)
    torch.manual_seed(5)
    t, s = teacher(images).detach(), student(images).detach()
    base = base_samples(s, t, labels, 2)
    assert 0 < len(base) <= 2
    attacked, _ = boundary_attack(
        teacher,
        images[base],
        labels[base],
        target_classes(t[base], labels[base]),
        steps=10,
        rate=0.3,
        bound=2.5,
    )
    expected = 2.875 * softened_cross_entropy(s, t, 3)
    expected = expected + 1.0 * softened_cross_entropy(student(attacked), teacher(attacked), 3)
    torch.testing.assert_close(value, expected)


def test_both_parts_teach_the_student_and_none_the_teacher() -> None:
    teacher, student = tiny_classifier(0).eval(), tiny_classifier(0)
    images = torch.randn(6, 3, 6, 6)
    made = step_of(student, teacher, images, teacher(images).argmax(1))
    build(alpha_start=0, alpha_end=0)(made).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_late_in_the_run_or_without_base_samples_no_network_runs_again() -> None:
    teacher, student = tiny_classifier(0).eval(), tiny_classifier(1).eval()
    images = torch.randn(6, 3, 6, 6)
    labels = teacher(images).argmax(1)
    late = step_of(student, teacher, images, labels, progress=0.8)
    wrong = step_of(student, teacher, images, (labels + 1) % 4)
    for made in (late, wrong):
        made = replace(made, forward_student=None, forward_teacher=None)  # type: ignore[arg-type]  # never called
        alpha = 4 - 3 * made.progress
        batch = softened_cross_entropy(student(images), teacher(images), 3)
        torch.testing.assert_close(build()(made), alpha * batch)


def test_networks_that_expect_different_images_are_refused() -> None:
    teacher, student = tiny_classifier(0).eval(), tiny_classifier(1)
    images = torch.randn(6, 3, 6, 6)
    made = step_of(student, teacher, images, teacher(images).argmax(1))
    for other in (2 * images, torch.zeros(6, 3, 8, 8)):
        with pytest.raises(UserError, match="method bss shows both networks the same images"):
            build()(replace(made, teacher_images=other))
    assert torch.isfinite(build()(replace(made, teacher_images=images.clone())))
