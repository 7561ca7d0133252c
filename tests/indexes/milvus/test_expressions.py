"""Filters as Milvus answers them, against `Filter.matches`."""

import json
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.collection import NewItem, Scalar
from indexes.errors import FilterError
from indexes.filters import And, AttributeBound, AttributeIn, Filter, IdIn, LabelIn, Not, Or
from indexes.milvus.expressions import expression, text_literal
from indexes.milvus_collection import MilvusCollection
from tests.indexes.milvus_lite import create_milvus, needs_milvus_lite
from tests.indexes.test_filters import FILTERS, NAMES, NUMBERS, TEXTS

ODD = [
    '"',
    "'",
    "\\",
    '\\"',
    '" or id != "',
    "{x}",
    "%",
    "a\\nb",
    "]",
    "größe",
    "\U0001f600",
    "null",
    "$meta",
]
VALUES: list[Scalar] = [
    *("", "1", "red", "rot", "true", "null", "é", "\U0001f600", 'q"\\', "two\nlines\r", "\x01\t"),
    *(0, 1, 1.0, -0.0, 0.1, 0.30000000000000004, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, 1e300, 5e-324, -2.5),
    *(True, False, None),
]
Described = tuple[str, str | None, dict[str, Scalar]]


def described(id: str, label: str | None, attributes: dict[str, Scalar]) -> Described:
    return id, label, attributes


ITEMS: list[Described] = [
    *(described(f"a{i}", None, {"a": value}) for i, value in enumerate(VALUES)),
    *(described(f"b{i}", "x", {"b.c": value, "größe": VALUES[-i]}) for i, value in enumerate(VALUES)),
    *(described(name, name, {name: "red", "a": 1}) for name in ODD),
    *(described(f"{name}/{other}", "y", {name: 3, other: True}) for name, other in pairwise(ODD)),
    described("nothing", None, {}),
]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusCollection]:
    with create_milvus(tmp_path_factory.mktemp("milvus"), embedding_size=2) as collection:
        vector = np.array([1, 0], np.float32)
        collection.upsert([NewItem(id, vector, label, attributes) for id, label, attributes in ITEMS])
        yield collection


def check(collection: MilvusCollection, filter: Filter) -> None:
    passing = sorted(item[0] for item in ITEMS if filter.matches(*item))
    assert [item.id for item in collection.page(filter=filter, limit=1000)] == passing
    assert collection.count(filter) == len(passing)


@needs_milvus_lite
@given(filter=FILTERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_milvus_and_python_agree(collection: MilvusCollection, filter: Filter) -> None:
    check(collection, filter)


@needs_milvus_lite
@given(
    name=NAMES,
    value=st.one_of(TEXTS, NUMBERS, st.sampled_from(VALUES)),
    sign=st.sampled_from(["gt", "gte", "lt", "lte"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_condition_and_its_opposite_divide_the_items(
    collection: MilvusCollection, name: str, value: Scalar, sign: str
) -> None:
    filters: list[Filter] = [AttributeIn(name, (value,)), AttributeIn(name, (value, None))]
    if isinstance(value, str) or (value is not None and not isinstance(value, bool)):
        filters.append(AttributeBound(name, sign, value))
    for filter in filters:
        check(collection, filter)
        check(collection, Not(filter))


@needs_milvus_lite
@pytest.mark.parametrize("text", ODD)
def test_no_text_becomes_syntax(collection: MilvusCollection, text: str) -> None:
    for filter in (IdIn((text,)), LabelIn((text,)), AttributeIn(text, ("red",)), AttributeIn("a", (text,))):
        check(collection, filter)
        check(collection, Not(filter))
    check(collection, AttributeBound("a", "gte", text))
    assert [item.id for item in collection.page(after=text, limit=1000)] == sorted(
        id for id, _, _ in ITEMS if id > text
    )


@needs_milvus_lite
def test_what_no_item_can_have_finds_nothing(collection: MilvusCollection) -> None:
    for filter in (
        IdIn(("\ud800", "", "a\nb", "x" * 600)),
        # The mark of items without a label is an empty string.
        LabelIn(("",)),
        Or(()),
        And((LabelIn((None,)), Or(()))),
    ):
        assert collection.count(filter) == 0
        assert collection.page(filter=filter) == []
        assert collection.search(np.array([[1, 0]], np.float32), 3, filter) == [[]]
        assert collection.count(Not(filter)) == len(ITEMS)
    assert collection.count(And(())) == len(ITEMS)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, True),
        (And(()), True),
        (Or(()), False),
        (Not(Or(())), True),
        (IdIn(()), False),
        (Not(IdIn(())), True),
        (Or((IdIn(("a",)), And(()))), True),
        (IdIn(("a", 'b"')), 'id in ["a", "b\\""]'),
        (Not(IdIn(("a",))), 'id not in ["a"]'),
        (LabelIn(("x", None)), 'label in ["x", ""]'),
        (Not(And((IdIn(("a",)), LabelIn(("x",))))), '((id not in ["a"]) or (label not in ["x"]))'),
    ],
)
def test_what_is_written(filter: Filter | None, expected: str | bool) -> None:
    assert expression(filter) == expected


def test_a_bound_is_never_negated() -> None:
    text = str(expression(Not(And((AttributeBound("a", "lt", 3), Not(AttributeBound("b", "gt", "x")))))))
    assert " >= " in text
    assert "not (ranges" not in text
    assert text.count("not array_contains_any") == 1


def test_a_literal_is_one_line_that_json_reads_too() -> None:
    for text in [*ODD, *(value for value in VALUES if isinstance(value, str)), "two\nlines\r"]:
        literal = text_literal(text)
        assert "\n" not in literal
        assert "\r" not in literal
        assert json.loads(literal, strict=False) == text


@pytest.mark.parametrize("number", [2**64, float("inf")])
def test_a_number_beyond_json_is_refused(number: float) -> None:
    with pytest.raises(FilterError):
        expression(AttributeBound("a", "lt", number))
    with pytest.raises(FilterError):
        expression(AttributeIn("a", (number,)))
