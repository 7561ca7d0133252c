from __future__ import annotations

import torch

from training.distillation.methods.directions import directions


def test_by_hand() -> None:
    vectors = torch.tensor([[[3.0, 4.0]], [[0.0, -2.0]]])
    torch.testing.assert_close(directions(vectors), torch.tensor([[[0.6, 0.8]], [[0.0, -1.0]]]))


def test_nothing_has_no_direction_and_no_slope() -> None:
    vectors = torch.tensor([[0.0, 0.0], [1e-30, 0.0], [1.0, 1.0]], requires_grad=True)
    found = directions(vectors)
    (slope,) = torch.autograd.grad((found * torch.tensor([1.0, 2.0])).sum(), vectors)
    assert torch.equal(found[:2], torch.zeros(2, 2))
    assert torch.equal(slope[:2], torch.zeros(2, 2))
    assert slope[2].abs().sum() > 0


def test_gradients_twice() -> None:
    vectors = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(directions, (vectors,))
    assert torch.autograd.gradgradcheck(directions, (vectors,))
