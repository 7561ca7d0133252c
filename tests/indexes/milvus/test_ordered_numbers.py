import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.errors import FilterError
from indexes.milvus.ordered_numbers import ordered

NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(2**53 - 3, 2**53 + 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -0.0, 0.0, 5e-324, -5e-324, 1e308, -1e308, float(2**63), -float(2**63)]),
)


@given(a=NUMBERS, b=NUMBERS)
@example(a=2**53 + 1, b=float(2**53))
@example(a=2**63 - 1, b=float(2**63))
@example(a=-(2**63) + 1, b=-float(2**63))
def test_texts_compare_as_the_numbers_do(a: int | float, b: int | float) -> None:
    # Fractions are exact where int and float meet.
    assert (ordered(a) < ordered(b)) == (Fraction(a) < Fraction(b))
    assert (ordered(a) == ordered(b)) == (Fraction(a) == Fraction(b))
    # By bytes, as an engine compares, and within what is safe in any expression.
    assert ordered(a).isascii()
    assert len(ordered(a)) == 13
    assert '"' not in ordered(a)


def test_equal_numbers_of_both_kinds_are_one_text() -> None:
    assert ordered(1) == ordered(1.0)
    assert ordered(0) == ordered(-0.0)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 2**63, -(2**63) - 1, 10**400])
def test_what_no_item_can_have_is_refused(number: int | float) -> None:
    with pytest.raises(FilterError):
        ordered(number)
