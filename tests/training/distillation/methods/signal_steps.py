"""Steps made by hand: outputs without networks, and tiny classifiers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from training.distillation.methods.term import Output, Setup, Step


def no_network(images: Tensor) -> Output:
    raise AssertionError("the term ran a network")


def output(
    logits: Tensor | None = None, embedding: Tensor | None = None, taps: tuple[Tensor, ...] = ()
) -> Output:
    """With a feature only where nothing else is given."""
    given = [signal for signal in (embedding, logits, *taps) if signal is not None]
    return Output(logits, given[0].flatten(1), embedding, taps)


def step(student: Output, teacher: Output, *, progress: float = 0.0) -> Step:
    """A step whose term needs neither images nor labels."""
    n = len(student.feature)
    images = torch.zeros(n, 3, 2, 2)
    return Step(
        teacher=teacher,
        student=student,
        labels=torch.zeros(n, dtype=torch.int64),
        student_images=images,
        teacher_images=images,
        forward_student=no_network,
        forward_teacher=no_network,
        progress=progress,
    )


def classifiers(classes: int = 4, *, hidden: int = 5, student: int = 0) -> Setup:
    """What terms of two classifiers are built for; `student`: its classes, where they are not the teacher's."""
    return Setup(
        teacher_feature=hidden,
        student_feature=hidden,
        teacher_classes=classes,
        student_classes=student or classes,
    )


def embedders(student: int, teacher: int) -> Setup:
    """What terms of two networks for retrieval are built for."""
    return Setup(
        teacher_feature=teacher,
        student_feature=student,
        teacher_embedding=teacher,
        student_embedding=student,
    )


def tiny_classifier(seed: int, *, classes: int = 4, norm: bool = True, scale: float = 1.0) -> nn.Sequential:
    """Convolution, batch norm, in-place ReLU, pooling, linear: for images float[n, 3, 6, 6]."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(3, 6, 3, padding=1)]
    if norm:
        layers.append(nn.BatchNorm2d(6))
    last = nn.Linear(24, classes)
    last.weight.data *= scale
    return nn.Sequential(*layers, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten(), last)


def step_of(
    student: nn.Module, teacher: nn.Module, images: Tensor, labels: Tensor, *, progress: float = 0.0
) -> Step:
    """A step of two classifiers that see the same images; nothing of the teacher's carries gradients."""

    def run(network: nn.Module, seen: Tensor) -> Output:
        return output(network(seen))

    with torch.no_grad():
        taught = run(teacher, images)
    made = step(run(student, images), taught, progress=progress)
    return replace(
        made,
        labels=labels,
        student_images=images,
        teacher_images=images,
        forward_student=lambda seen: run(student, seen),
        forward_teacher=lambda seen: run(teacher, seen),
    )
