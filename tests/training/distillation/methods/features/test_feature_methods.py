"""The rows against the table of the overhaul's paper."""

from __future__ import annotations

import itertools

import pytest
import torch

from retrieval.errors import UserError
from tests.training.distillation.methods.feature_steps import ROWS, setup, step, term
from training.distillation.methods.features.distances import DISTANCES
from training.distillation.methods.features.student_transforms import STUDENT_TRANSFORMS
from training.distillation.methods.features.teacher_transforms import TEACHER_TRANSFORMS


@pytest.mark.parametrize(
    ("name", "teacher", "student", "position", "distance"),
    [
        ("fitnets", "none", "connector", "mid", "l2"),
        ("at", "attention", "attention", "end", "l2"),
        ("ft", "paraphraser", "translator", "end", "l1"),
        ("ab", "binarise", "connector", "pre_relu", "marginal_l2"),
        ("ofd", "margin_relu", "connector", "pre_relu", "partial_l2"),
    ],
)
def test_four_aspects(name: str, teacher: str, student: str, position: str, distance: str) -> None:
    row = ROWS[name]
    _, choices = row.resolve({})
    assert choices["teacher_transform"] == teacher
    assert choices["student_transform"] == student
    assert choices["distance"] == distance
    assert row.position == position


def test_names_are_their_own_and_sources_stated() -> None:
    assert len(ROWS) == 6
    for row in ROWS.values():
        assert not set(row.settings) & set(row.choices)
        assert row.source
        assert row.needs == ("taps",)
        assert row.prepares({}) == (row.name == "ft")


@pytest.mark.parametrize("margins", ["batch_norm", "running"])
def test_any_aspects_make_a_term_or_say_why_not(margins: str) -> None:
    """Every combination of words, for equal channels: 4 transforms of maps, attention and factors with their own."""
    built_for, built = setup([2], [2]), 0
    moment = step([torch.randn(2, 2, 4, 4)], [torch.randn(2, 2, 4, 4, requires_grad=True)])
    for teacher, student, distance in itertools.product(TEACHER_TRANSFORMS, STUDENT_TRANSFORMS, DISTANCES):
        given = {
            "teacher_transform": teacher,
            "student_transform": student,
            "distance": distance,
            "margins": margins,
        }
        try:
            value = term("ofd", built_for, **given)(moment)
        except UserError:
            continue
        built += 1
        assert value.isfinite()
        assert value.requires_grad
    assert built == (4 * 3 + 1 + 1) * len(DISTANCES)
