"""Block factors against the settings of the slides' table and the arithmetic of the rules."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import UserError
from training.block_factors import block_factors
from training.sections.optimiser import FactorRule


def test_the_table_on_the_fourteen_blocks_of_its_network() -> None:
    assert block_factors("dagger", 14) == (0.1,) * 3 + (1.0,) * 11
    assert block_factors("double_dagger", 14) == (1.0,) * 12 + (10.0,) * 2


@pytest.mark.parametrize(("blocks", "low", "high"), [(16, 3, 2), (8, 2, 1), (33, 7, 5), (2, 1, 1)])
def test_the_table_on_other_depths(blocks: int, low: int, high: int) -> None:
    assert block_factors("dagger", blocks).count(0.1) == low
    assert block_factors("double_dagger", blocks).count(10.0) == high
    assert block_factors("dagger", blocks)[low - 1] == 0.1
    assert block_factors("double_dagger", blocks)[-high] == 10.0


def test_star_rises_from_the_one_to_the_other() -> None:
    assert block_factors("star", 5) == pytest.approx((0.1, 10**-0.5, 1.0, 10**0.5, 10.0))
    assert block_factors("star", 14)[0] == block_factors("dagger", 14)[0]
    assert block_factors("star", 14)[-1] == block_factors("double_dagger", 14)[-1]


def test_rules() -> None:
    assert block_factors(FactorRule(first=1, last=8), 4) == pytest.approx((1, 2, 4, 8))
    assert block_factors(FactorRule(first=1, last=7, shape="linear"), 4) == pytest.approx((1, 3, 5, 7))
    assert block_factors(FactorRule(first=1, last=7), 1) == (7,)


@given(
    first=st.floats(1e-6, 1e6),
    last=st.floats(1e-6, 1e6),
    blocks=st.integers(2, 60),
    linear=st.booleans(),
)
def test_a_rule_keeps_its_ends_and_never_turns(first: float, last: float, blocks: int, linear: bool) -> None:
    rule = FactorRule(first=first, last=last, shape="linear" if linear else "geometric")
    factors = block_factors(rule, blocks)
    assert (factors[0], factors[-1]) == pytest.approx((first, last))
    falls = [after < before * (1 - 1e-9) for before, after in pairwise(factors)]
    rises = [after > before * (1 + 1e-9) for before, after in pairwise(factors)]
    assert not (any(falls) and any(rises))
    assert min(factors) > 0


def test_lists_and_mappings_say_the_same() -> None:
    assert block_factors([1, 1, 0.1], 3) == block_factors({3: 0.1}, 3) == (1.0, 1.0, 0.1)
    assert block_factors(None, 2) == (1.0, 1.0)


def test_factors_that_do_not_fit_the_network_are_refused() -> None:
    with pytest.raises(UserError, match="has 3 factors; this network has 8 blocks"):
        block_factors([1, 2, 3], 8)
    with pytest.raises(UserError, match="names block 9; this network has blocks 1 to 8"):
        block_factors({9: 1.0}, 8)
    with pytest.raises(UserError, match="names block 0"):
        block_factors({0: 1.0}, 8)
