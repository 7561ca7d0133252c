"""The share of equal activations against one counted by hand."""

from __future__ import annotations

import pytest
import torch

from training.distillation.methods.features.activation_overlap import overlap


def test_zero_is_not_active_and_strength_does_not_matter() -> None:
    teacher = torch.tensor([[[[1.0, -1.0, 0.0, 2.0]]]])
    student = torch.tensor([[[[9.0, 0.0, 0.1, -2.0]]]])
    assert overlap(teacher, student) == 0.5
    assert overlap(teacher, teacher) == 1
    assert overlap(teacher, torch.where(teacher > 0, -1.0, 1.0)) == 0


def test_maps_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 1, 1\) and \(1, 1, 1, 1\)"):
        overlap(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, 1))
