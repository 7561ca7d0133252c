import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.collection import Scalar
from indexes.errors import FilterError
from indexes.filter_parsing import MAX_DEPTH, MAX_TERMS, MAX_VALUES, parse_filter

VASE: tuple[str, str, dict[str, Scalar]] = (
    "shelf/1",
    "vase-03",
    {"color": "red", "price": 12.5, "sold": False, "note": None},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", True),
        ('{"label": "vase-03"}', True),
        ('{"label": null}', False),
        ('{"label": {"in": ["vase-01", "vase-03", null]}}', True),
        ('{"label": {"in": []}}', False),
        ('{"id": "shelf/1"}', True),
        ('{"id": {"in": ["a", "b"]}}', False),
        ('{"attributes": {"color": "red", "price": {"gte": 10, "lt": 20}}}', True),
        ('{"attributes": {"price": {"gte": 10, "lt": 12.5}}}', False),
        ('{"attributes": {"color": {"in": ["blue", "red"]}, "sold": false}}', True),
        ('{"attributes": {"note": null, "missing": null}}', True),
        ('{"attributes": {}}', True),
        ('{"label": "vase-03", "attributes": {"color": "blue"}}', False),
        ('{"and": [{"label": "vase-03"}, {"not": {"attributes": {"sold": true}}}]}', True),
        ('{"or": [{"label": "x"}, {"id": "y"}]}', False),
        ('{"or": []}', False),
        ('{"not": {}}', False),
    ],
)
def test_reads(text: str, expected: bool) -> None:
    assert parse_filter(json.loads(text)).matches(*VASE) is expected


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "filter: expected a JSON object; got None"),
        ([], "filter: expected a JSON object"),
        ({"lable": "x"}, "filter: 'lable' is not a key of a filter; known are id, label"),
        ({"label": 3}, "filter.label: expected a string; got 3"),
        ({"label": {"in": "abc"}}, "filter.label.in: expected a list; got 'abc'"),
        ({"label": {"like": "a"}}, "filter.label: give a value or"),
        ({"id": None}, "filter.id: expected a string"),
        ({"id": {"in": [1]}}, "filter.id.in: expected a string; got 1"),
        ({"label": "\ud800"}, "not valid Unicode"),
        ({"attributes": "red"}, "filter.attributes: expected a JSON object"),
        ({"attributes": {"price": {"above": 3}}}, "filter.attributes.price: 'above' is not a comparison"),
        (
            {"attributes": {"price": {"gt": True}}},
            "filter.attributes.price.gt: a bound is a number or a string",
        ),
        ({"attributes": {"price": {"gt": float("nan")}}}, "finite number"),
        ({"attributes": {"price": 2**63}}, "filter.attributes.price: expected a string, a finite number"),
        ({"attributes": {"price": [1]}}, "filter.attributes.price: expected a string"),
        ({"attributes": {"price": {}}}, "filter.attributes.price: give a value"),
        ({"and": {}}, "filter.and: expected a list"),
        ({"and": [{}, {"label": []}]}, "filter.and[1].label: expected a string; got []"),
        ({"not": [1]}, "filter.not: expected a JSON object"),
        ({"id": {"in": ["x"] * (MAX_VALUES + 1)}}, f"at most {MAX_VALUES}"),
        ({"and": [{"label": "x"}] * (MAX_TERMS + 1)}, "at most"),
        ({"attributes": {str(i): 1 for i in range(MAX_TERMS + 1)}}, f"{MAX_TERMS} terms"),
        ({"la\nbel": 1}, r"'la\nbel' is not a key"),
    ],
)
def test_refuses_and_names_the_key(value: object, says: str) -> None:
    with pytest.raises(FilterError) as refusal:
        parse_filter(value)
    message = str(refusal.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 400


def test_depth_is_bounded() -> None:
    filter: dict[str, Any] = {"label": "x"}
    for _ in range(MAX_DEPTH):
        filter = {"not": filter}
    parse_filter(filter)
    with pytest.raises(FilterError, match="levels deep"):
        parse_filter({"not": filter})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "label", "attributes", "and", "or", "not", "in", "gt", "lte"])
            | st.text(max_size=2),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(value=JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        filter = parse_filter(value)
    except FilterError:
        return
    assert filter.matches(*VASE) in (True, False)
    condition, parameters = filter.sql()
    assert condition.count("?") == len(parameters)
