"""Which items a search, a count or a page is about: a small language over id, label and attributes.

A filter is a frozen tree. `matches` evaluates it in Python, `sql` compiles it to a condition on a row of
`items` with bound parameters; both give the same answer for every item, and neither knows a third truth
value.

Types never mix: the string "1", the number 1 and the boolean true are three different values, while 1 and 1.0
are one. A bound compares numbers with numbers and strings with strings (in the order of their code points);
an attribute of any other type lies outside every bound. `null` matches a label or an attribute that is null
or absent.
"""

from __future__ import annotations

import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Scalar = str | int | float | bool | None
Parameter = str | None
Sql = tuple[str, list[Parameter]]
"""A condition with `?` in it, and what is bound to each."""

_COMPARE: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "gt": (">", operator.gt),
    "gte": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "lte": ("<=", operator.le),
}
BOUNDS = tuple(_COMPARE)


def _same(left: Scalar, right: Scalar) -> bool:
    """Equal in value and in kind of JSON value; Python alone would say that True == 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Values travel as JSON text, which SQLite reads as it reads the stored attributes: a float meets exactly
# itself, and ten thousand values are one parameter.
_LIST = "(SELECT value FROM json_each(?))"
_NUMERIC = "field.type IN ('integer', 'real')"


def _bound(values: Sequence[Scalar]) -> list[Parameter]:
    return [json.dumps(values)]


class Filter(ABC):
    """A condition that an item passes or not."""

    @abstractmethod
    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """Whether an item of this id, label and attributes passes."""

    @abstractmethod
    def sql(self) -> Sql:
        """The same as a condition on the columns id, label and attributes of `items`."""


@dataclass(frozen=True)
class And(Filter):
    """All of them; of none at all, true."""

    terms: tuple[Filter, ...]

    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """See Filter."""
        return all(term.matches(id, label, attributes) for term in self.terms)

    def sql(self) -> Sql:
        """See Filter."""
        return _joined([term.sql() for term in self.terms], " AND ", empty="1")


@dataclass(frozen=True)
class Or(Filter):
    """At least one of them; of none at all, false."""

    terms: tuple[Filter, ...]

    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """See Filter."""
        return any(term.matches(id, label, attributes) for term in self.terms)

    def sql(self) -> Sql:
        """See Filter."""
        return _joined([term.sql() for term in self.terms], " OR ", empty="0")


@dataclass(frozen=True)
class Not(Filter):
    """The opposite."""

    term: Filter

    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """See Filter."""
        return not self.term.matches(id, label, attributes)

    def sql(self) -> Sql:
        """See Filter."""
        condition, parameters = self.term.sql()
        return f"NOT {condition}", parameters


@dataclass(frozen=True)
class IdIn(Filter):
    """The id is one of these."""

    ids: tuple[str, ...]

    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """See Filter."""
        return id in self.ids

    def sql(self) -> Sql:
        """See Filter."""
        return f"(items.id IN {_LIST})", _bound(self.ids)


@dataclass(frozen=True)
class LabelIn(Filter):
    """The label is one of these; None stands for an item without a label."""

    labels: tuple[str | None, ...]

    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """See Filter."""
        return label in self.labels

    def sql(self) -> Sql:
        """See Filter."""
        if len(self.labels) == 1:
            return "(items.label IS ?)", [self.labels[0]]
        named = [label for label in self.labels if label is not None]
        known = f"(items.label IS NOT NULL AND items.label IN {_LIST})"
        return (f"(items.label IS NULL OR {known})" if None in self.labels else known), _bound(named)


@dataclass(frozen=True)
class AttributeIn(Filter):
    """The attribute has one of these values; None stands for null and for an item without the attribute."""

    name: str
    values: tuple[Scalar, ...]

    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """See Filter."""
        value = attributes.get(self.name)
        return any(_same(value, wanted) for wanted in self.values)

    def sql(self) -> Sql:
        """See Filter."""
        texts = [value for value in self.values if isinstance(value, str)]
        numbers = [value for value in self.values if _is_number(value)]
        kinds: list[Sql] = []
        if texts:
            kinds.append(
                _attribute(self.name, f"field.type = 'text' AND field.atom IN {_LIST}", _bound(texts))
            )
        if numbers:
            kinds.append(_attribute(self.name, f"{_NUMERIC} AND field.atom IN {_LIST}", _bound(numbers)))
        for truth in (True, False):
            if any(value is truth for value in self.values):
                kinds.append(_attribute(self.name, f"field.type = '{json.dumps(truth)}'", []))
        if None in self.values:
            present, parameters = _attribute(self.name, "field.type <> 'null'", [])
            kinds.append((f"(NOT {present})", parameters))
        return _joined(kinds, " OR ", empty="0")


@dataclass(frozen=True)
class AttributeBound(Filter):
    """The attribute lies on this side of a bound. comparison: gt, gte, lt or lte."""

    name: str
    comparison: str
    bound: str | int | float

    def matches(self, id: str, label: str | None, attributes: Mapping[str, Scalar]) -> bool:
        """See Filter."""
        value = attributes.get(self.name)
        comparable = isinstance(value, str) if isinstance(self.bound, str) else _is_number(value)
        return comparable and _COMPARE[self.comparison][1](value, self.bound)

    def sql(self) -> Sql:
        """See Filter."""
        kind = "field.type = 'text'" if isinstance(self.bound, str) else _NUMERIC
        sign = _COMPARE[self.comparison][0]
        return _attribute(
            self.name, f"{kind} AND field.atom {sign} json_extract(?, '$')", [json.dumps(self.bound)]
        )


def _joined(parts: Sequence[Sql], word: str, *, empty: str) -> Sql:
    conditions = word.join(condition for condition, _ in parts) or empty
    return f"({conditions})", [parameter for _, parameters in parts for parameter in parameters]


def _attribute(name: str, condition: str, parameters: list[Parameter]) -> Sql:
    # json_each and a bound name, not a JSON path: a path cannot quote every name an attribute may have.
    exists = (
        f"EXISTS (SELECT 1 FROM json_each(items.attributes) AS field WHERE field.key = ? AND {condition})"
    )
    return f"({exists})", [name, *parameters]
