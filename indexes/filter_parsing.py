"""Reading a filter from JSON, as it comes with a request or from the command line.

The object mirrors an item, and its keys are joined by AND:

    {"label": "vase-03"}                                     {"label": {"in": ["vase-03", null]}}
    {"attributes": {"color": "red", "price": {"gte": 10, "lt": 20}}}
    {"id": {"in": ["a", "b"]}}                               {"and": [F, ...]}   {"or": [F, ...]}   {"not": F}

The source is not trusted: depth, number of terms and length of lists are bounded, and every refusal names its
key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from indexes.errors import FilterError
from indexes.filters import BOUNDS, And, AttributeBound, AttributeIn, Filter, IdIn, LabelIn, Not, Or, Scalar

_Value = TypeVar("_Value")

MAX_DEPTH = 8
MAX_TERMS = 100
MAX_VALUES = 10_000
"""Values in one `in`."""


def parse_filter(value: object) -> Filter:
    """The filter that a parsed JSON value stands for; `{}` lets every item pass. Raises FilterError."""
    return _Parser().object(value, "filter", depth=0)


class _Parser:
    def __init__(self) -> None:
        self.terms = 0

    def object(self, value: object, where: str, *, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise FilterError(f"{where}: a filter may be nested {MAX_DEPTH} levels deep, not more")
        parts: list[Filter] = []
        for key, inner in _mapping(value, where).items():
            here = f"{where}.{_name(key)}"
            self.count(where)
            match key:
                case "id":
                    parts.append(IdIn(_values(inner, here, _text)))
                case "label":
                    parts.append(LabelIn(_values(inner, here, _text_or_null)))
                case "attributes":
                    for name, condition in _mapping(inner, here).items():
                        self.count(here)
                        parts.extend(_attribute(_text(name, here), condition, f"{here}.{_name(name)}"))
                case "and" | "or":
                    terms = tuple(
                        self.object(term, f"{here}[{i}]", depth=depth + 1)
                        for i, term in enumerate(_list(inner, here, MAX_TERMS))
                    )
                    parts.append(And(terms) if key == "and" else Or(terms))
                case "not":
                    parts.append(Not(self.object(inner, here, depth=depth + 1)))
                case _:
                    known = "id, label, attributes, and, or, not"
                    raise FilterError(f"{where}: {_shown(key)} is not a key of a filter; known are {known}")
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def count(self, where: str) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise FilterError(
                f"{where}: a filter may have {MAX_TERMS} terms, not more; use 'in' for many values"
            )


def _attribute(name: str, condition: object, where: str) -> list[Filter]:
    if not isinstance(condition, dict):
        return [AttributeIn(name, (_scalar(condition, where),))]
    parts: list[Filter] = []
    for key, operand in _mapping(condition, where).items():
        if key == "in":
            choices = _list(operand, f"{where}.in", MAX_VALUES)
            parts.append(AttributeIn(name, tuple(_scalar(choice, f"{where}.in") for choice in choices)))
        elif key in BOUNDS:
            bound = _scalar(operand, f"{where}.{key}")
            if bound is None or isinstance(bound, bool):
                raise FilterError(f"{where}.{key}: a bound is a number or a string; got {_shown(operand)}")
            parts.append(AttributeBound(name, key, bound))
        else:
            raise FilterError(
                f"{where}: {_shown(key)} is not a comparison; known are in, {', '.join(BOUNDS)}"
            )
    if not parts:
        raise FilterError(f"{where}: give a value, or an object with in, {', '.join(BOUNDS)}")
    return parts


def _values(value: object, where: str, one: Callable[[object, str], _Value]) -> tuple[_Value, ...]:
    if not isinstance(value, dict):
        return (one(value, where),)
    if set(value) != {"in"}:
        raise FilterError(
            f'{where}: give a value or {{"in": [values]}}; got keys {_shown(sorted(map(str, value)))}'
        )
    return tuple(one(choice, f"{where}.in") for choice in _list(value["in"], f"{where}.in", MAX_VALUES))


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FilterError(f"{where}: expected a JSON object; got {_shown(value)}")
    return value


def _list(value: object, where: str, longest: int) -> list[Any]:
    if not isinstance(value, list):
        raise FilterError(f"{where}: expected a list; got {_shown(value)}")
    if len(value) > longest:
        raise FilterError(f"{where}: a list of {len(value)} values; at most {longest} are taken")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise FilterError(f"{where}: expected a string; got {_shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FilterError(f"{where}: the string is not valid Unicode text") from None
    return value


def _text_or_null(value: object, where: str) -> str | None:
    return None if value is None else _text(value, where)


def _scalar(value: object, where: str) -> Scalar:
    if isinstance(value, str):
        return _text(value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise FilterError(f"{where}: expected a string, a finite number, a boolean or null; got {_shown(value)}")


def _name(key: str) -> str:
    return key if key.isidentifier() and len(key) <= 60 else _shown(key)


def _shown(value: object) -> str:
    # One line, and not the whole of what a client may have sent.
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
