"""Attention and its gradients by hand, in a loop over single images, and through whole steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.errors import UserError
from retrieval.networks.classifiers import build_classifier
from retrieval.networks.taps import find_taps
from tests.training.distillation.methods.signal_steps import step
from training.distillation.distiller import Distiller, WeightedTerm
from training.distillation.methods.gradients.jacobian import JacobianMatching
from training.distillation.methods.table import METHODS
from training.distillation.methods.term import Output, Setup, Step, Term
from training.distillation.sides import ClassifierSide

ROW = METHODS["jacobian"]


class Nothing(Term):
    """In place of the distance of attention maps."""

    def forward(self, step: Step) -> Tensor:
        return torch.zeros(())


def step_with_maps(student: nn.Module, teacher: nn.Module, images: Tensor) -> Step:
    """A step of two networks whose one tap is what they give."""

    def run(network: nn.Module, seen: Tensor) -> Output:
        return Output(None, torch.zeros(len(seen), 1), None, (network(seen),))

    with torch.no_grad():
        taught = run(teacher, images)
    return replace(
        step(run(student, images), taught),
        student_images=images,
        teacher_images=images,
        forward_student=lambda seen: run(student, seen),
        forward_teacher=lambda seen: run(teacher, seen),
    )


def mixing(rows: list[list[float]]) -> nn.Conv2d:
    """A map whose channels mix those of the image, pixel by pixel."""
    layer = nn.Conv2d(3, len(rows), 1, bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(rows, dtype=torch.float64)[:, :, None, None]
    return layer


def test_by_hand_on_two_pixels() -> None:
    """Pixels (1, 2, 0) and (1, 1, 0). The teacher's map is the second channel: largest at the first pixel, and its
    gradient is along that channel there. The student sees the first channel, at that pixel: orthogonal, so 2. The
    student's second channel, of no response, changes nothing. A map has 2 pixels: 2 / 2.
    """
    images = torch.tensor([[1.0, 1.0], [2.0, 1.0], [0.0, 0.0]], dtype=torch.float64).view(1, 3, 1, 2)
    student, teacher = mixing([[5, 0, 0], [0, 0, 0]]), mixing([[0, 1, 0]])
    assert JacobianMatching(Nothing(), 1.0)(step_with_maps(student, teacher, images)).item() == 1
    assert JacobianMatching(Nothing(), 3.0)(step_with_maps(student, teacher, images)).item() == 3
    alike = mixing([[0, 7, 0]])
    assert JacobianMatching(Nothing(), 1.0)(step_with_maps(alike, teacher, images)).item() == pytest.approx(0)


def small(seed: int, channels: int, stride: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, channels, 3, stride, padding=1), nn.Sigmoid()).double()


def test_maps_of_two_sizes_in_a_loop_over_images() -> None:
    """The teacher's 6x6 map is pooled to the student's 3x3 before the largest pixel is looked for."""
    student, teacher = small(0, 2, stride=2), small(1, 4, stride=1)
    images = torch.randn(5, 3, 6, 6, dtype=torch.float64)
    value = JacobianMatching(Nothing(), 1.0)(step_with_maps(student, teacher, images))
    total = 0.0
    for image in images:
        image = image[None].clone().requires_grad_()
        theirs = F.avg_pool2d(teacher(image), 2).pow(2).mean(1)[0]
        row, column = divmod(int(theirs.argmax()), 3)
        ours = student(image).pow(2).mean(1)[0]
        found = []
        for attention in (theirs, ours):
            (gradient,) = torch.autograd.grad(attention[row, column], image)
            found.append(gradient / gradient.pow(2).sum().sqrt())
        total += float((found[0] - found[1]).pow(2).sum())
    assert value.item() == pytest.approx(total / 5 / 9, rel=1e-9)
    value.backward()
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def pair() -> tuple[ClassifierSide, ClassifierSide, Setup]:
    """A teacher of 7 classes and a student of 4, with all their groups as taps."""
    torch.manual_seed(0)
    teacher, student = (build_classifier(name, count) for name, count in (("wrn-10-2", 7), ("wrn-10-1", 4)))
    taps = tuple(zip(find_taps(teacher, "end"), find_taps(student, "end"), strict=True))
    setup = Setup(taps=taps, teacher_classes=7, student_classes=4)
    return ClassifierSide(teacher).eval(), ClassifierSide(student), setup


def losses(
    student: ClassifierSide, teacher: ClassifierSide, setup: Setup, name: str, **given: float
) -> Tensor:
    """What a method adds to a step of the distiller."""
    row = METHODS[name]
    term = WeightedTerm(name, row.build(setup, *row.resolve(given)), row.weight, "train", setup.taps)
    distiller = Distiller(student, teacher, [term], objective=None, class_weight=0)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    total: Tensor = distiller(images, images, torch.tensor([0, 1, 2, 3]), "main", 0.0).total
    return total


def test_on_top_of_attention_for_a_teacher_of_other_classes() -> None:
    teacher, student, setup = pair()
    attention = losses(student, teacher, setup, "at")
    torch.testing.assert_close(losses(student, teacher, setup, "jacobian", gradients=0), attention)
    once = losses(student, teacher, setup, "jacobian") - attention
    assert once > 0
    torch.testing.assert_close(
        losses(student, teacher, setup, "jacobian", gradients=2), attention + 2 * once, rtol=1e-4, atol=0
    )


def test_no_distance_from_itself() -> None:
    _, student, setup = pair()
    student.eval()
    own = Setup(taps=tuple((mine, mine) for _, mine in setup.taps), teacher_classes=4, student_classes=4)
    assert losses(student, student, own, "jacobian").item() == pytest.approx(0, abs=1e-6)


def test_it_teaches_under_autocast() -> None:
    teacher, student, setup = pair()
    plain = losses(student, teacher, setup, "jacobian")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = losses(student, teacher, setup, "jacobian")
    torch.testing.assert_close(value, plain, rtol=0.1, atol=0)
    groups = [p for name, p in student.named_parameters() if "groups.B1." in name]
    gradients = torch.autograd.grad(value, groups)
    assert gradients
    assert all(torch.isfinite(gradient).all() and gradient.any() for gradient in gradients)


def test_networks_that_expect_different_images_are_refused() -> None:
    made = step_with_maps(
        mixing([[1, 0, 0]]), mixing([[1, 0, 0]]), torch.ones(1, 3, 2, 2, dtype=torch.float64)
    )
    with pytest.raises(UserError, match="method jacobian shows both networks the same images"):
        JacobianMatching(Nothing(), 1.0)(replace(made, teacher_images=torch.zeros(1, 3, 2, 2)))


def test_its_row() -> None:
    assert (ROW.needs, ROW.position, ROW.weight) == (("taps",), "end", METHODS["at"].weight)
    with pytest.raises(UserError, match="name at least one position"):
        ROW.build(Setup(), *ROW.resolve({}))
