"""Factors: their sizes, their scale, and what the paraphraser minimises."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.distillation.methods.feature_steps import maps
from training.distillation.methods.features.paraphraser import (
    Paraphraser,
    Translator,
    factor_channels,
    unit_factor,
)


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_weights_and_sizes_are_the_papers() -> None:
    def layer(channels: int, to: int) -> int:
        return 9 * channels * to + to

    half = layer(8, 8) + layer(8, 4) + layer(4, 4)
    assert weights(Paraphraser(8, 0.5)) == half + layer(4, 4) + layer(4, 8) + layer(8, 8)
    assert weights(Translator(6, 4)) == layer(6, 6) + layer(6, 4) + layer(4, 4)
    assert Paraphraser(8, 0.5)(torch.randn(3, 8, 2, 5)).shape == (3, 4 * 2 * 5)
    assert Translator(6, 4)(torch.randn(3, 6, 2, 5)).shape == (3, 4 * 2 * 5)
    assert factor_channels(1, 0.5) == 1


def test_a_factor_is_one_unit_vector_an_image() -> None:
    image = torch.tensor([[[[3.0]], [[4.0]]], [[[0.0]], [[-2.0]]], [[[0.0]], [[0.0]]]])
    torch.testing.assert_close(unit_factor(image), torch.tensor([[0.6, 0.8], [0.0, -1.0], [0.0, 0.0]]))


def test_the_scale_of_a_factor_does_not_matter() -> None:
    torch.manual_seed(0)
    translator, image = Translator(3, 2).double(), maps(0, 2, 3, 4, 4)
    factor = translator(image)
    last = translator.encoder[4]
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        last.weight *= 5
        assert last.bias is not None
        last.bias *= 5
    torch.testing.assert_close(translator(image), factor)


@pytest.mark.parametrize(("bias", "retold"), [(2.0, 2.0), (-2.0, -0.2)])
def test_reconstruction_is_the_mean_absolute_error(bias: float, retold: float) -> None:
    paraphraser = Paraphraser(2, 0.5)
    last = paraphraser.decoder[4]
    assert isinstance(last, nn.ConvTranspose2d)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, bias)
    image = torch.tensor([[[[1.0, -3.0]], [[0.0, 4.0]]]])
    expected = sum(abs(retold - x) for x in (1, -3, 0, 4)) / 4
    assert paraphraser.reconstruction(image).item() == pytest.approx(expected)


@pytest.mark.parametrize("module", [Paraphraser(2, 0.5), Translator(2, 1)])
def test_gradients(module: nn.Module) -> None:
    assert torch.autograd.gradcheck(module.double(), maps(3, 2, 2, 3, 3).requires_grad_())
