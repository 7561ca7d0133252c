"""Sizes against averages done by hand."""

from __future__ import annotations

import torch

from training.distillation.methods.features.maps import to_smaller


def test_the_larger_map_is_averaged() -> None:
    large = torch.tensor([[[[1.0, 3, 5, 7], [1, 3, 5, 7]]]])
    small = torch.tensor([[[[9.0, 9]], [[8, 8]]]])
    for a, b in (to_smaller(large, small), to_smaller(small, large)[::-1]):
        assert a.tolist() == [[[[2, 6]]]]
        assert b is small


def test_a_map_larger_in_one_direction_and_smaller_in_the_other() -> None:
    a, b = to_smaller(torch.zeros(2, 3, 8, 5), torch.zeros(2, 4, 6, 7))
    assert a.shape == (2, 3, 6, 5)
    assert b.shape == (2, 4, 6, 5)
