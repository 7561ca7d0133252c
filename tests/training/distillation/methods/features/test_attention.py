"""Attention maps against values done by hand."""

from __future__ import annotations

import torch

from tests.training.distillation.methods.feature_steps import maps
from training.distillation.methods.features.attention import Attention


def test_mean_of_squares_as_a_unit_vector() -> None:
    # Channels (1, 2) and (-1, 2): means of squares 1 and 4, of length sqrt(17).
    image = torch.tensor([[[[1.0, 2.0]], [[-1.0, 2.0]]]])
    torch.testing.assert_close(Attention()(image), torch.tensor([[1.0, 4.0]]) / 17**0.5)


def test_neither_scale_nor_width_matters() -> None:
    image = maps(0, 2, 3, 4, 5)
    seen = Attention()(image)
    assert seen.shape == (2, 20)
    torch.testing.assert_close(Attention()(-7 * image), seen)
    torch.testing.assert_close(Attention()(image.repeat(1, 2, 1, 1)), seen)


def test_an_image_without_a_response_has_zeros() -> None:
    image = torch.zeros(1, 2, 2, 2, requires_grad=True)
    seen = Attention()(image)
    (gradient,) = torch.autograd.grad(seen.sum(), image)
    assert seen.tolist() == [[0, 0, 0, 0]]
    assert gradient.abs().max() == 0


def test_gradients() -> None:
    assert torch.autograd.gradcheck(Attention(), maps(1, 2, 3, 2, 2).requires_grad_())
