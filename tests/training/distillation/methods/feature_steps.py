"""Taps and steps made by hand, for terms that compare maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor, nn

from retrieval.networks.taps import Position, Tap
from training.distillation.methods.features.feature_methods import FEATURE_METHODS
from training.distillation.methods.term import Output, Setup, Step, Term

ROWS = {row.name: row for row in FEATURE_METHODS}


def norm(gamma: Sequence[float], beta: Sequence[float]) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(len(gamma))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(gamma))
        layer.bias.copy_(torch.tensor(beta))
    return layer


def setup(teacher: Sequence[int], student: Sequence[int], *, norms: bool = True) -> Setup:
    """Taps B1, B2, ... of so many channels each."""
    position: Position = "pre_relu"
    pairs = zip(teacher, student, strict=True)
    return Setup(
        taps=tuple(
            (
                Tap(f"B{i}", position, t, nn.BatchNorm2d(t) if norms else None),
                Tap(f"B{i}", position, s, nn.BatchNorm2d(s) if norms else None),
            )
            for i, (t, s) in enumerate(pairs, start=1)
        )
    )


def step(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Step:
    """All that feature methods look at; a network must not run."""
    n = len(student[0])
    images = torch.zeros(n, 3, 4, 4)
    return Step(
        teacher=Output(None, torch.zeros(n, 2), None, tuple(teacher)),
        student=Output(None, torch.zeros(n, 2), None, tuple(student)),
        labels=torch.zeros(n, dtype=torch.int64),
        student_images=images,
        teacher_images=images,
        forward_student=_refuse,
        forward_teacher=_refuse,
        progress=0.0,
    )


def term(name: str, built_for: Setup, **given: object) -> Term:
    row = ROWS[name]
    return row.build(built_for, *row.resolve(given))


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _refuse(images: Tensor) -> NoReturn:
    raise AssertionError("a feature method ran a network")
