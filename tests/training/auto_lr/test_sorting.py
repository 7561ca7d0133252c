"""Sorting quality, targets and rates against examples worked by hand, and their properties."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.auto_lr.sorting import first_target, repaired_target, sorting_quality, updated_rates

positive = st.floats(1e-9, 1e9)
variations = st.lists(positive, min_size=2, max_size=40)


@given(st.lists(positive, min_size=1, max_size=40, unique=True))
def test_quality_is_one_for_ascending_and_none_for_reversed_variations(values: list[float]) -> None:
    n = len(values)
    assert sorting_quality(sorted(values)) == 1
    if n > 1:
        # For an odd number the middle block stays where it is: |i - rank| sums to (n^2 - 1) / 2, not n^2 / 2.
        assert sorting_quality(sorted(values, reverse=True)) == (0 if n % 2 == 0 else round(1 / n**2, 3))


@given(variations)
def test_quality_lies_between_and_knows_ranks_alone(values: list[float]) -> None:
    quality = sorting_quality(values)
    assert 0 <= quality <= 1
    assert quality == round(quality, 3)
    ranks = sorted(set(values))
    assert sorting_quality([float(ranks.index(value)) for value in values]) == quality


def test_quality_by_hand() -> None:
    # Ranks 1, 0, 2, 3: two blocks are one place off; 1 - 2/16 x 2.
    assert sorting_quality([2, 1, 3, 4]) == 0.75
    # Ranks of 14 blocks with the first and the last swapped: 1 - 2/196 x 26.
    assert sorting_quality([14, *range(2, 14), 1]) == 0.735


def test_ties_count_as_ascending() -> None:
    assert sorting_quality([5.0] * 14) == 1
    assert sorting_quality([1, 2, 2, 3]) == 1
    # 2, 2, 1: ranks 1, 2, 0, of which all three are off by 1, 1, 2.
    assert sorting_quality([2, 2, 1]) == round(1 - 2 / 9 * 4, 3)


@given(st.lists(positive, min_size=2, max_size=40), st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_first_target_is_a_line_between_its_ends(
    values: list[float], min_factor: float, max_factor: float
) -> None:
    line, flat = first_target(values, min_factor, max_factor)
    bottom, top = min_factor * min(values), max_factor * max(values)
    assert flat == (bottom >= top)
    ends = (min(values), max(values)) if flat else (bottom, top)
    assert (line[0], line[-1]) == pytest.approx(ends)
    assert all(after >= before * (1 - 1e-12) for before, after in pairwise(line))
    steps = [after - before for before, after in pairwise(line)]
    assert steps == pytest.approx([(ends[1] - ends[0]) / (len(values) - 1)] * len(steps), abs=1e-9 * ends[1])


def test_the_ends_of_the_authors_line() -> None:
    line, flat = first_target([10, 4, 1, 2], min_factor=2, max_factor=0.4)
    assert (line[0], line[-1]) == (2 * 1, 0.4 * 10)
    assert line == pytest.approx((2, 2 + 2 / 3, 2 + 4 / 3, 4))
    assert not flat


def test_a_line_that_would_not_ascend_has_no_factors() -> None:
    # 2 x 1 at the first block is above 0.4 x 4 at the last.
    assert first_target([4, 3, 1], 2, 0.4) == ((1, 2.5, 4), True)
    # At five times it would be level.
    assert first_target([5, 3, 1], 2, 0.4) == ((1, 3, 5), True)


def test_the_repair_by_hand() -> None:
    # The middle of 6 is the block of value 5; a step is (9 - 1) / 5. Below it 6 exceeds 5 and becomes 3.4, and then 4
    # exceeds that and becomes 1.8; 1 stays. Above it 3 is below 5 and becomes 6.6; 9 stays.
    assert repaired_target([1, 4, 6, 5, 3, 9]) == pytest.approx((1, 1.8, 3.4, 5, 6.6, 9))


def test_the_repair_stays_above_zero() -> None:
    # A step is 4.5: from 2 the block below it would come to -2.5 and the one below that to -7.
    assert repaired_target([9, 11, 2, 3, 4]) == (0.5, 1, 2, 3, 4)


@given(variations)
def test_a_repaired_target_is_sorted_and_positive(values: list[float]) -> None:
    assume(min(values) > 1e-6 * max(values))
    wanted = repaired_target(values)
    assert sorting_quality(wanted) == 1
    assert min(wanted) > 0
    assert wanted[len(values) // 2] == values[len(values) // 2]


@given(variations)
def test_sorted_variations_need_no_repair_and_change_no_rate(values: list[float]) -> None:
    values.sort()
    wanted = repaired_target(values)
    assert wanted == tuple(values)
    rates = [1e-3] * len(values)
    assert updated_rates(rates, values, wanted, min_rate=1e-6, max_rate=1) == tuple(rates)


def test_rates_scale_by_what_is_wanted_over_what_came() -> None:
    assert updated_rates([0.1, 0.1, 0.1], [2, 4, 5], [4, 1, 5]) == pytest.approx((0.2, 0.025, 0.1))


@given(st.lists(st.tuples(positive, st.floats(0, 1e300), st.floats(-1e300, 1e300)), min_size=1))
def test_rates_stay_positive_and_finite_whatever_is_asked(blocks: list[tuple[float, float, float]]) -> None:
    rates, measured, wanted = zip(*blocks, strict=True)
    found = updated_rates(rates, measured, wanted, min_rate=1e-9, max_rate=1e9)
    assert all(math.isfinite(rate) and 1e-9 <= rate <= 1e9 for rate in found)


def test_a_block_that_did_not_move_keeps_its_rate() -> None:
    assert updated_rates([0.1], [0.0], [3.0]) == (0.1,)


def test_all_rates_go_down_together_where_one_would_be_too_high() -> None:
    found = updated_rates([0.1, 0.1, 0.1, 0.1], [1, 1, 1, 0], [1, 20, 40, 1], min_rate=1e-2, max_rate=1)
    assert found == pytest.approx((0.1 / 4, 0.5, 1, 0.1 / 4))
    # None goes below the lowest for that.
    assert updated_rates([0.1, 0.1], [1, 1], [1, 4000], min_rate=1e-2, max_rate=1) == pytest.approx((1e-2, 1))


@given(st.lists(st.tuples(positive, positive), min_size=2, max_size=20))
def test_a_limit_on_rates_keeps_their_proportions(blocks: list[tuple[float, float]]) -> None:
    measured, wanted = zip(*blocks, strict=True)
    free = updated_rates([1.0] * len(blocks), measured, wanted)
    limited = updated_rates([1.0] * len(blocks), measured, wanted, max_rate=0.5)
    assert max(limited) == pytest.approx(min(max(free), 0.5))
    scale = max(limited) / max(free)
    assert limited == pytest.approx(tuple(rate * scale for rate in free))
