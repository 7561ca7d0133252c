"""Distances against values done by hand, and their gradients numerically."""

from __future__ import annotations

import pytest
import torch

from tests.training.distillation.methods.feature_steps import maps
from training.distillation.methods.features.distances import DISTANCES

SETTINGS = {"mu": 1.0}


def value(name: str, teacher: float, student: float, mu: float = 1.0) -> float:
    one = torch.ones(1, dtype=torch.float64)
    return DISTANCES[name]({"mu": mu})(teacher * one, student * one).item()


@pytest.mark.parametrize(
    ("name", "teacher", "student", "expected"),
    [
        ("l1", 1, -2, 3),
        ("l2", 1, -2, 9),
        ("l2", -1, -3, 4),
        # Heo et al. 2019: nothing to learn below a negative response, everything above it and at positive ones.
        ("partial_l2", -1, -3, 0),
        ("partial_l2", -1, 1, 4),
        ("partial_l2", 1, 0, 1),
        ("partial_l2", -1, -0.5, 0.25),
        ("partial_l2", -1, -1, 0),
        ("partial_l2", 0, -2, 0),
        ("partial_l2", 2, -1, 9),
        ("partial_l2", 2, 3, 1),
        # Heo et al., AAAI 2019: right side and beyond the margin costs nothing, on the boundary mu squared.
        ("marginal_l2", 0.1, 1, 0),
        ("marginal_l2", 9, 4, 0),
        ("marginal_l2", 0.1, 0, 1),
        ("marginal_l2", 5, -1, 4),
        ("marginal_l2", -0.1, -1, 0),
        ("marginal_l2", -9, -4, 0),
        ("marginal_l2", -0.1, 0, 1),
        ("marginal_l2", 0, 1, 4),
        ("marginal_l2", 1, 0.5, 0.25),
    ],
)
def test_values(name: str, teacher: float, student: float, expected: float) -> None:
    assert value(name, teacher, student) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_on_the_boundary_the_marginal_l2_is_its_margin_squared(mu: float) -> None:
    assert value("marginal_l2", 3, 0, mu) == pytest.approx(mu**2)
    assert value("marginal_l2", -3, 0, mu) == pytest.approx(mu**2)
    assert value("marginal_l2", 3, mu, mu) == value("marginal_l2", -3, -mu, mu) == 0


@pytest.mark.parametrize(("teacher", "student", "root"), [(1, 5, 2), (0.5, -8.5, 3), (-2, -2, 0)])
def test_l_half_is_a_root_but_for_its_smoothing(teacher: float, student: float, root: float) -> None:
    assert value("l0.5", teacher, student) == pytest.approx(root, abs=0.011)


def test_two_closed_neurons_have_finite_gradients_in_l_half() -> None:
    student = torch.zeros(3, requires_grad=True)
    distance = DISTANCES["l0.5"](SETTINGS)(torch.zeros(3), student)
    (gradient,) = torch.autograd.grad(distance.sum(), student)
    assert distance.tolist() == pytest.approx([0, 0, 0], abs=1e-9)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_for_the_student(name: str) -> None:
    distance = DISTANCES[name](SETTINGS)
    teacher, student = maps(0, 2, 3, 2, 2), maps(1, 2, 3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda response: distance(teacher, response), student)
