from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from retrieval.errors import UserError
from tests.training.distillation.signal_steps import classifiers, step_of, tiny_classifier
from training.distillation.jacobian import JacobianMatching, gradient_directions
from training.distillation.output_methods import OUTPUT_METHODS

ROW = {row.name: row for row in OUTPUT_METHODS}["jacobian"]


def linear(rows: list[list[float]]) -> nn.Sequential:
    """Logits that are linear in an image of 3 values: the gradients are the rows."""
    layer = nn.Linear(3, len(rows), bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(rows, dtype=torch.float64)
    return nn.Sequential(nn.Flatten(), layer)


def test_by_hand_on_linear_classifiers() -> None:
    """Class 0: the same direction, 0. Class 1: (1, 0, 0) against (0, 1, 0), squares 1 + 1 + 0 over 3 values."""
    student, teacher = linear([[5, 5, 0], [1, 0, 0]]), linear([[1, 1, 0], [0, 3, 0]])
    images = torch.randn(4, 3, 1, 1, dtype=torch.float64)
    made = step_of(student, teacher, images, torch.tensor([0, 1, 0, 1]))
    assert JacobianMatching()(made).item() == pytest.approx((2 + 2) / 12, rel=1e-9)


def test_a_network_without_slope_costs_and_moves_nothing_infinite() -> None:
    student, teacher = linear([[0, 0, 0]]), linear([[0, 3, 4]])
    made = step_of(student, teacher, torch.ones(1, 3, 1, 1, dtype=torch.float64), torch.tensor([0]))
    value = JacobianMatching()(made)
    assert value.item() == pytest.approx(1 / 3)
    value.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in student.parameters())


def test_directions_are_the_finite_differences_of_the_true_class() -> None:
    network = tiny_classifier(0).double().eval()
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    labels = torch.tensor([3, 1])
    found = gradient_directions(network, images, labels, differentiable=False)
    slopes = torch.zeros(2, 108, dtype=torch.float64)
    for number, label in enumerate(labels):
        for value in range(108):
            nudge = torch.zeros(108, dtype=torch.float64)
            nudge[value] = 1e-6
            nudge = nudge.view(1, 3, 6, 6)
            up, down = network(images[number] + nudge), network(images[number] - nudge)
            slopes[number, value] = (up - down)[0, label] / 2e-6
    torch.testing.assert_close(found, slopes / slopes.norm(dim=1, keepdim=True), rtol=1e-5, atol=1e-7)
    assert not found.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_gradients_to_the_students_weights(training: bool) -> None:
    """Through batch norms in both modes; sigmoids, because second derivatives of ReLUs have jumps."""
    torch.manual_seed(0)
    student = nn.Sequential(
        nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Sigmoid(), nn.Flatten(), nn.Linear(8, 2)
    ).double()
    student.train(training)
    images, labels = torch.randn(3, 3, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 1])
    wanted = torch.randn(3, 48, dtype=torch.float64)
    names = [name for name, _ in student.named_parameters()]
    state = {key: value.clone() for key, value in student.state_dict().items()}

    def value(*weights: Tensor) -> Tensor:
        given = {
            **{key: kept.clone() for key, kept in state.items()},
            **dict(zip(names, weights, strict=True)),
        }

        def forward(seen: Tensor) -> Tensor:
            logits: Tensor = torch.func.functional_call(student, given, seen)
            return logits

        found = gradient_directions(forward, images, labels, differentiable=True)
        return (found - wanted).square().mean()

    weights = tuple(p.detach().clone().requires_grad_() for p in student.parameters())
    assert torch.autograd.gradcheck(value, weights, atol=1e-6)


def test_training_by_it_alone_turns_the_gradients_round() -> None:
    student, teacher = tiny_classifier(1), tiny_classifier(0).eval()
    images = torch.randn(8, 3, 6, 6)
    labels = torch.randint(4, (8,))
    optimiser = torch.optim.Adam(student.parameters(), lr=0.02)
    values = []
    for _ in range(30):
        value = JacobianMatching()(step_of(student, teacher, images, labels))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_under_autocast() -> None:
    student, teacher = tiny_classifier(1), tiny_classifier(0).eval()
    images, labels = torch.randn(8, 3, 6, 6), torch.randint(4, (8,))
    plain = JacobianMatching()(step_of(student, teacher, images, labels))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = JacobianMatching()(step_of(student, teacher, images, labels))
    value.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, plain, rtol=0.05, atol=0)
    assert all(torch.isfinite(p.grad).all() for p in student.parameters() if p.grad is not None)


def test_networks_that_expect_different_images_are_refused() -> None:
    student, teacher = tiny_classifier(1), tiny_classifier(0)
    made = step_of(student, teacher, torch.randn(2, 3, 6, 6), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="method jacobian shows both networks the same images"):
        JacobianMatching()(replace(made, teacher_images=torch.zeros(2, 3, 6, 6)))


def test_its_row() -> None:
    assert isinstance(ROW.build(classifiers(), *ROW.resolve({})), JacobianMatching)
    assert ROW.weight == 20
