"""Teacher transforms against values done by hand, and margins against scipy's truncated normal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import truncnorm
from torch import Tensor, nn

from retrieval.errors import UserError
from retrieval.networks.taps import Tap
from tests.training.distillation.methods.feature_steps import maps, norm
from training.distillation.methods.features.teacher_transforms import (
    TEACHER_TRANSFORMS,
    Binarise,
    MarginReLU,
    RunningMarginReLU,
    batch_norm_margins,
)

SETTINGS = {"rate": 0.5}


def margin(gamma: float, beta: float) -> float:
    return batch_norm_margins(torch.tensor([gamma]).double(), torch.tensor([beta]).double()).item()


@pytest.mark.parametrize(
    ("gamma", "beta", "expected"),
    [
        (1, 0, -0.7978846),  # -sqrt(2 / pi)
        (-1, 0, -0.7978846),
        (2, 0, -1.5957691),
        (1, 5, -3),  # hardly ever negative
        (0.5, 5, -1.5),
        (1, -5, -5.0000015),
        (0, -2, -2),  # constant
        (0, 2, 0),
        (0, 0, 0),
    ],
)
def test_margins(gamma: float, beta: float, expected: float) -> None:
    assert margin(gamma, beta) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("gamma", [0.3, -1.7])
@pytest.mark.parametrize("ratio", [-8.0, -2.0, -0.5, 0.0, 0.7, 2.0, 3.0])
def test_margins_are_means_of_a_truncated_normal(gamma: float, ratio: float) -> None:
    beta = ratio * abs(gamma)
    expected = truncnorm.mean(-np.inf, -ratio, loc=beta, scale=abs(gamma))
    assert margin(gamma, beta) == pytest.approx(expected, rel=1e-6)


def test_from_three_deviations_on_the_margin_is_three_deviations() -> None:
    # Phi(-3.0902) = 0.001.
    assert margin(1, 3.08) == pytest.approx(truncnorm.mean(-np.inf, -3.08, loc=3.08), rel=1e-6)
    assert margin(1, 3.10) == -3


def test_margins_keep_float32_and_stay_finite_for_extreme_channels() -> None:
    gamma, beta = torch.tensor([0.0, 1e-30, 1e-20, 1e4]), torch.tensor([1e-3, -1e3, 1e3, -1e-30])
    margins = batch_norm_margins(gamma, beta)
    assert margins.dtype == torch.float32
    assert margins.isfinite().all()
    assert (margins <= 0).all()


def test_margin_relu_cuts_each_channel_at_its_margin() -> None:
    transform = MarginReLU(torch.tensor([-1.0, 0.0]))
    image = torch.tensor([[[[-3.0, -0.5, 2.0]], [[-3.0, -0.5, 2.0]]]])
    assert transform(image).tolist() == [[[[-1, -0.5, 2]], [[0, 0, 2]]]]


def test_margins_of_a_tap_are_those_of_its_batch_norm() -> None:
    tap = Tap("B1", "pre_relu", 2, norm([1.0, 0.0], [0.0, -2.0]))
    transform = TEACHER_TRANSFORMS["margin_relu"](tap, SETTINGS, {"margins": "batch_norm"})
    image = torch.full((1, 2, 1, 1), -9.0)
    assert transform(image).flatten().tolist() == pytest.approx([-0.7978846, -2])
    assert list(transform.state_dict()) == ["margins"]


@pytest.mark.parametrize("layer", [None, nn.BatchNorm2d(2, affine=False)])
def test_a_tap_without_a_batch_norm_needs_running_margins(layer: nn.BatchNorm2d | None) -> None:
    tap = Tap("B3", "pre_relu", 2, layer)
    with pytest.raises(UserError, match=r"no batch norm at B3 .* set margins to running"):
        TEACHER_TRANSFORMS["margin_relu"](tap, SETTINGS, {"margins": "batch_norm"})
    running = TEACHER_TRANSFORMS["margin_relu"](tap, SETTINGS, {"margins": "running"})
    assert isinstance(running, RunningMarginReLU)


def negative_means(batches: list[Tensor]) -> list[float]:
    means = []
    for channel in range(batches[0].shape[1]):
        negative = [x for batch in batches for x in batch[:, channel].flatten().tolist() if x < 0]
        means.append(sum(negative) / len(negative) if negative else 0.0)
    return means


def test_running_margins_are_means_of_all_negative_responses() -> None:
    transform = RunningMarginReLU(3).double()
    batches = [maps(seed, n, 3, 2, 3) + seed for seed, n in enumerate((4, 1, 2))]
    batches[0][:, 1], batches[1][:, 1] = 1.0, 0.0  # without a negative one until the last batch
    for batch in batches:
        batch[:, 2] = batch[:, 2].abs()
    for seen in range(1, 4):
        transform(batches[seen - 1])
        assert transform.margins.tolist() == pytest.approx(negative_means(batches[:seen]))
    assert transform.margins[2] == 0


def test_running_margins_count_before_they_cut_and_only_in_training() -> None:
    transform = RunningMarginReLU(1)
    image = torch.tensor([[[[-4.0, -2.0, 1.0]]]])
    assert transform(image).flatten().tolist() == [-3, -2, 1]
    transform.eval()
    assert transform(torch.full((1, 1, 1, 1), -9.0)).item() == -3
    assert transform.counts.tolist() == [2]


def test_running_margins_go_on_from_a_checkpoint() -> None:
    whole, first, second = (RunningMarginReLU(2).double() for _ in range(3))
    batches = [maps(seed, 2, 2, 3, 3) for seed in range(2)]
    whole(batches[0])
    first(batches[0])
    second.load_state_dict(first.state_dict())
    assert torch.equal(whole(batches[1]), second(batches[1]))


def test_binarised_neurons_fire_above_zero() -> None:
    fired = Binarise()(torch.tensor([[[[-1.0, 0.0, 1e-9, 5.0]]]]).double())
    assert fired.tolist() == [[[[0, 0, 1, 1]]]]
    assert fired.dtype == torch.float64


def test_relu_and_none() -> None:
    tap = Tap("B1", "pre_relu", 1, None)
    image = torch.tensor([[[[-1.0, 2.0]]]])
    assert TEACHER_TRANSFORMS["relu"](tap, SETTINGS, {})(image).tolist() == [[[[0, 2]]]]
    assert TEACHER_TRANSFORMS["none"](tap, SETTINGS, {})(image) is image
