from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import UserError
from training.batch_part import BatchPart, check_divides, whole


@given(st.integers(1, 50), st.integers(1, 9))
def test_parts_are_those_of_numpy_and_their_weighted_means_make_the_mean(images: int, processes: int) -> None:
    numbers = np.random.default_rng(images).random(images)
    parts = [BatchPart.of(images, process, processes) for process in range(processes)]
    for part, expected in zip(parts, np.array_split(numbers, processes), strict=True):
        assert numbers[part.own].tolist() == expected.tolist()
        assert part.images == images
    shown = [part.share * numbers[part.own].mean() for part in parts if part.share]
    assert sum(shown) / processes == pytest.approx(numbers.mean())


def test_one_process_has_all() -> None:
    part = whole(5)
    assert (part.own, part.share) == (slice(0, 5), 1.0)


@pytest.mark.parametrize(
    ("batch", "processes", "advice"),
    [
        (40, 3, r"40, over all processes, and 3 of them.* set batch to 39 or 42, or start 2 processes"),
        (2, 4, "set batch to 4, or start 2 processes"),
        (5, 2, "set batch to 4 or 6, or start 1 process$"),
    ],
)
def test_a_batch_that_cannot_be_shared_evenly_is_refused(batch: int, processes: int, advice: str) -> None:
    with pytest.raises(UserError, match=advice):
        check_divides(batch, processes)
    check_divides(12, 1)
    check_divides(12, 4)
