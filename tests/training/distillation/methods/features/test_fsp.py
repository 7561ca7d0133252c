"""Flows against the paper's sums, in loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from retrieval.errors import UserError
from tests.training.distillation.methods.feature_steps import maps, setup, step, term
from training.distillation.methods.features.fsp import FSP, flow


def naive_flow(shallow: Tensor, deep: Tensor) -> Tensor:
    """Of maps of one size."""
    n, c, height, width = shallow.shape
    result = torch.zeros(n, c, deep.shape[1], dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            for image in range(n):
                result[image] += torch.outer(shallow[image, :, y, x], deep[image, :, y, x]) / (height * width)
    return result


def test_flow_by_hand() -> None:
    shallow, deep = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 5.0]], [[0.0, -1.0]]]])
    assert flow(shallow, deep).tolist() == [[[6.5, -1.0]]]


def test_the_larger_map_is_pooled() -> None:
    shallow, deep = maps(0, 2, 3, 4, 4), maps(1, 2, 5, 2, 2)
    pooled = torch.nn.functional.avg_pool2d(shallow, 2)
    torch.testing.assert_close(flow(shallow, deep), naive_flow(pooled, deep))


def test_mean_squares_of_the_flows_are_summed() -> None:
    fsp = term("fsp", setup([2, 3, 1], [2, 3, 1]))
    teachers, students = ([maps(seed + i, 2, c, 3, 3) for i, c in enumerate((2, 3, 1))] for seed in (0, 7))
    expected = sum(
        ((naive_flow(t1, t2) - naive_flow(s1, s2)) ** 2).mean().item()
        for t1, t2, s1, s2 in zip(teachers, teachers[1:], students, students[1:], strict=False)
    )
    assert fsp(step(teachers, students)).item() == pytest.approx(expected)
    assert fsp(step(teachers, teachers)).item() == 0


def test_flows_of_what_relus_let_through() -> None:
    fsp = term("fsp", setup([2, 3], [2, 3]), teacher_transform="relu", student_transform="connector_relu")
    (t1, t2), (s1, s2) = ([maps(seed + i, 2, c, 3, 3) for i, c in enumerate((2, 3))] for seed in (0, 7))
    flows = [naive_flow(first.clamp(min=0), second.clamp(min=0)) for first, second in ((t1, t2), (s1, s2))]
    assert fsp(step([t1, t2], [s1, s2])).item() == pytest.approx(((flows[0] - flows[1]) ** 2).mean().item())
    # What differs only where no neuron fires is no difference.
    assert fsp(step([t1, t2], [t1.clamp(min=0), t2.clamp(min=0)])).item() == 0


def test_teacher_and_student_may_see_different_sizes() -> None:
    fsp = term("fsp", setup([2, 2], [2, 2]))
    teachers, students = [torch.ones(1, 2, 8, 8)] * 2, [torch.ones(1, 2, 4, 4), torch.ones(1, 2, 2, 2)]
    assert fsp(step(teachers, students)).item() == pytest.approx(0)


def test_connectors_where_channels_differ() -> None:
    fsp = term("fsp", setup([2, 4], [2, 3]))
    assert isinstance(fsp, FSP)
    first, second = fsp.student_transforms
    assert isinstance(first, nn.Identity)
    assert isinstance(second, nn.Sequential)
    with pytest.raises(UserError, match="B2 of the student has 3 channels"):
        term("fsp", setup([2, 4], [2, 3]), student_transform="none")


def test_one_feature_has_no_flow() -> None:
    with pytest.raises(UserError, match="at least 2 positions, got 1"):
        term("fsp", setup([2], [2]))
