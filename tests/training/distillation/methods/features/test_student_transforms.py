"""Connectors against a loop over places, and when there is one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from retrieval.errors import UserError
from retrieval.networks.taps import Tap
from tests.training.distillation.methods.feature_steps import maps
from training.distillation.methods.features.student_transforms import STUDENT_TRANSFORMS, connector

TEACHER, STUDENT = Tap("layer", "end", 4, None), Tap("B2", "end", 3, None)
SETTINGS = {"always_connect": False, "rate": 0.5}


def test_a_connector_is_one_matrix_at_each_place_and_a_batch_norm() -> None:
    torch.manual_seed(0)
    layers: nn.Sequential = connector(3, 4).double()
    image = maps(0, 2, 3, 2, 2)
    matrix = layers.get_parameter("0.weight")[:, :, 0, 0]
    mixed = torch.stack(
        [torch.stack([matrix @ image[n, :, y, x] for n in range(2)]) for y in range(2) for x in range(2)]
    )
    places = mixed.flatten(0, 1)
    expected = (mixed - places.mean(0)) / (places.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(layers(image), expected.permute(1, 2, 0).reshape(2, 4, 2, 2))
    assert torch.autograd.gradcheck(layers, image.requires_grad_())


def test_a_connector_is_drawn_as_the_authors_draw_it() -> None:
    torch.manual_seed(0)
    convolution, layer = connector(200, 50)
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is None
    assert convolution.weight.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.02)
    assert convolution.weight.mean().item() == pytest.approx(0, abs=0.01)
    assert isinstance(layer, nn.BatchNorm2d)
    assert (layer.weight == 1).all()
    assert (layer.bias == 0).all()


@pytest.mark.parametrize(
    ("channels", "always", "connected"), [(4, False, False), (4, True, True), (3, False, True)]
)
def test_maps_of_the_same_channels_have_no_connector_unless_wanted(
    channels: int, always: bool, connected: bool
) -> None:
    student = Tap("B2", "end", channels, None)
    transform = STUDENT_TRANSFORMS["connector"](TEACHER, student, {"always_connect": always})
    assert bool(list(transform.parameters())) == connected


def test_a_relu_behind_the_connector() -> None:
    transform = STUDENT_TRANSFORMS["connector_relu"](TEACHER, TEACHER, SETTINGS)
    image = maps(0, 1, 4, 2, 2)
    torch.testing.assert_close(transform(image), image.clamp(min=0))


def test_without_a_connector_the_channels_must_be_the_same() -> None:
    with pytest.raises(
        UserError, match=r"B2 of the student has 3 channels and layer of the teacher 4; .* connector"
    ):
        STUDENT_TRANSFORMS["none"](TEACHER, STUDENT, SETTINGS)
    assert isinstance(STUDENT_TRANSFORMS["none"](TEACHER, TEACHER, SETTINGS), nn.Identity)


def test_a_translator_answers_in_the_teachers_size() -> None:
    transform = STUDENT_TRANSFORMS["translator"](TEACHER, STUDENT, SETTINGS)
    assert transform(torch.randn(2, 3, 5, 5)).shape == (2, 2 * 5 * 5)
