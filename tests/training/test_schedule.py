"""The rates along a run."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from training.schedule import rate_factor
from training.sections.schedule import ScheduleSection


def test_the_published_schedule_drops_tenfold_half_way() -> None:
    schedule = ScheduleSection()
    assert [rate_factor(schedule, epoch) for epoch in (0, 19.99, 20, 39.9)] == [1, 1, 0.1, 0.1]


def test_several_drops_multiply() -> None:
    schedule = ScheduleSection(epochs=10, drops=(0.5, 0.8), drop_factor=0.5)
    assert [rate_factor(schedule, epoch) for epoch in (0, 5, 8)] == [1, 0.5, 0.25]


def test_the_warm_up_is_a_straight_line() -> None:
    schedule = ScheduleSection(epochs=4, warmup_epochs=2, drops=())
    assert [rate_factor(schedule, position) for position in (0, 0.5, 1, 2, 3)] == [0, 0.25, 0.5, 1, 1]


def test_the_cosine_starts_at_one_passes_a_half_and_ends_at_zero() -> None:
    schedule = ScheduleSection(epochs=10, shape="cosine", warmup_epochs=2)
    assert rate_factor(schedule, 2) == 1
    assert math.isclose(rate_factor(schedule, 6), 0.5)
    assert math.isclose(rate_factor(schedule, 10), 0, abs_tol=1e-12)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_after_the_warm_up_no_schedule_ever_rises(first: float, second: float) -> None:
    early, late = sorted((first, second))
    for shape in ("step", "cosine"):
        schedule = ScheduleSection.model_validate({"epochs": 10, "shape": shape, "drops": [0.3, 0.6]})
        assert rate_factor(schedule, 10 * early) >= rate_factor(schedule, 10 * late)
