import json
import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.collection import Attributes, Scalar
from indexes.filters import And, AttributeBound, AttributeIn, Filter, IdIn, LabelIn, Not, Or

# Few names and values, so that filters hit; odd ones among them, so that quoting is tried.
NAMES = st.sampled_from(["a", "b.c", 'say "x"', "back\\slash", "größe", "$", "[0]"])
TEXTS = st.sampled_from(["", "1", "red", "rot", "true", "null", "é", "\U0001f600", 'q"\\'])
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(
        [0.1, 0.1 + 2**-55, 0.30000000000000004, -0.0, 1.0, 1e300, 5e-324, 2**53 + 1, -(2**63), 2**63 - 1]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
SCALARS: st.SearchStrategy[Scalar] = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
LABELS = st.one_of(st.none(), st.sampled_from(["x", "y", "z"]))
IDS = st.sampled_from(["x", "y/z", "1"])
ITEMS = st.tuples(IDS, LABELS, st.dictionaries(NAMES, SCALARS, max_size=4))

LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(IdIn, st.lists(IDS, max_size=2).map(tuple)),
    st.builds(LabelIn, st.lists(LABELS, max_size=3).map(tuple)),
    st.builds(AttributeIn, NAMES, st.lists(SCALARS, max_size=4).map(tuple)),
    st.builds(AttributeBound, NAMES, st.sampled_from(["gt", "gte", "lt", "lte"]), st.one_of(TEXTS, NUMBERS)),
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE items (id TEXT, label TEXT, attributes TEXT)")
    yield connection
    connection.close()


def passes(database: sqlite3.Connection, filter: Filter, item: tuple[str, str | None, Attributes]) -> bool:
    id, label, attributes = item
    database.execute("DELETE FROM items")
    database.execute(
        "INSERT INTO items VALUES (?, ?, ?)", [id, label, json.dumps(attributes, ensure_ascii=False)]
    )
    condition, parameters = filter.sql()
    positive = database.execute(f"SELECT COUNT(*) FROM items WHERE {condition}", parameters).fetchone()[0]
    negative = database.execute(f"SELECT COUNT(*) FROM items WHERE NOT {condition}", parameters).fetchone()[0]
    assert positive + negative == 1, "SQL's third truth value"
    return bool(positive)


@given(filter=FILTERS, item=ITEMS)
def test_sql_and_python_agree(
    database: sqlite3.Connection, filter: Filter, item: tuple[str, str | None, dict[str, Scalar]]
) -> None:
    assert passes(database, filter, item) == filter.matches(*item)


@pytest.mark.parametrize(
    ("filter", "attributes", "expected"),
    [
        (AttributeIn("a", (1,)), {"a": 1}, True),
        (AttributeIn("a", (1,)), {"a": 1.0}, True),
        (AttributeIn("a", (1,)), {"a": True}, False),
        (AttributeIn("a", (True,)), {"a": 1}, False),
        (AttributeIn("a", ("1",)), {"a": 1}, False),
        (AttributeIn("a", (None,)), {"a": None}, True),
        (AttributeIn("a", (None,)), {}, True),
        (AttributeIn("a", (None,)), {"a": 0}, False),
        (AttributeBound("a", "gte", 10), {"a": 10}, True),
        (AttributeBound("a", "gt", 10), {"a": 10}, False),
        (AttributeBound("a", "lt", 10), {"a": "1"}, False),
        (AttributeBound("a", "lt", 10), {}, False),
        (AttributeBound("a", "lt", "b"), {"a": "a"}, True),
        (Not(AttributeBound("a", "lt", 10)), {"a": "1"}, True),
        (And(()), {}, True),
        (Or(()), {}, False),
    ],
)
def test_meaning(
    database: sqlite3.Connection, filter: Filter, attributes: Attributes, expected: bool
) -> None:
    assert filter.matches("id", None, attributes) is expected
    assert passes(database, filter, ("id", None, attributes)) is expected


def test_one_label_is_found_by_the_index_on_labels(database: sqlite3.Connection) -> None:
    database.execute("CREATE INDEX IF NOT EXISTS by_label ON items (label, id)")
    condition, parameters = LabelIn(("x",)).sql()
    plan = database.execute(
        f"EXPLAIN QUERY PLAN SELECT id FROM items WHERE {condition}", parameters
    ).fetchall()
    assert "USING COVERING INDEX by_label (label=?)" in plan[0][-1]
