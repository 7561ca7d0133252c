"""A filter as an expression of Milvus, with the same answer for every item as `Filter.matches`.

A comparison with something that an item does not have is neither true nor false in some versions of Milvus, and false
in others. Here it never stands under a `not`: a negation is carried down to the leaves, where it is written so that it
is true or false by itself. What a client has sent becomes either a digest or a quoted string, never syntax.
"""

from __future__ import annotations

from collections.abc import Iterable

from indexes.errors import InvalidItemError
from indexes.filters import And, AttributeBound, AttributeIn, Filter, IdIn, LabelIn, Not, Or
from indexes.item_checks import check_id
from indexes.milvus.ordered_numbers import ordered
from indexes.milvus.searchable_attributes import KINDS, kind_of, kind_token, range_key, value_token

Expression = str | bool
"""True and False: all items pass, none does."""

NO_LABEL = ""
"""What an item without a label has in the column; a label is never empty."""

_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_OPPOSITE = {"gt": "<=", "gte": "<", "lt": ">=", "lte": ">"}


def expression(filter: Filter | None) -> Expression:
    """The condition on the fields id, label, facts and ranges. Raises FilterError for a number beyond 64 bits."""
    return True if filter is None else _compiled(filter, negated=False)


def all_of(parts: Iterable[Expression]) -> Expression:
    """Those items that pass every part."""
    return _joined(parts, "and")


def text_literal(text: str) -> str:
    """A quoted string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def one_of(field: str, texts: Iterable[str], *, negated: bool = False) -> Expression:
    """Whether a field of text, which every item has, is one of these."""
    literals = ", ".join(map(text_literal, texts))
    if not literals:
        return negated
    return f"{field} {'not in' if negated else 'in'} [{literals}]"


def holdable(ids: Iterable[str]) -> list[str]:
    """Those that an item can have; no other is to be asked for, because Milvus might not even read it."""
    return [id for id in ids if _is_id(id)]


def _compiled(filter: Filter, *, negated: bool) -> Expression:
    match filter:
        case And(terms) | Or(terms):
            word = "or" if isinstance(filter, Or) != negated else "and"
            return _joined((_compiled(term, negated=negated) for term in terms), word)
        case Not(term):
            return _compiled(term, negated=not negated)
        case IdIn(ids):
            return one_of("id", holdable(ids), negated=negated)
        case LabelIn(labels):
            # An empty string is no label, so no item has it: it must not meet the mark of those without one.
            wanted = [NO_LABEL if label is None else label for label in labels if label != ""]
            return one_of("label", wanted, negated=negated)
        case AttributeIn(name, values):
            known = _has([value_token(name, value) for value in values if value is not None])
            absent = None in values and _has([kind_token(name, kind) for kind in KINDS], negated=True)
            found = _joined([known, absent], "or")
            return found if not negated else _not(found)
        case AttributeBound(name, comparison, bound):
            value = text_literal(bound) if isinstance(bound, str) else text_literal(ordered(bound))
            sign = _OPPOSITE[comparison] if negated else _SIGNS[comparison]
            compared = f'ranges["{range_key(name, bound)}"] {sign} {value}'
            if not negated:
                return compared
            return _joined([_has([kind_token(name, kind_of(bound))], negated=True), compared], "or")
    raise TypeError(f"a filter of another kind: {type(filter).__name__}")


def _has(tokens: list[str], *, negated: bool = False) -> Expression:
    if not tokens:
        return negated
    literals = ", ".join(map(text_literal, tokens))
    return f"{'not ' if negated else ''}array_contains_any(facts, [{literals}])"


def _joined(parts: Iterable[Expression], word: str) -> Expression:
    decides = word == "or"
    texts: list[str] = []
    for part in parts:
        if part is decides:
            return decides
        if isinstance(part, str):
            texts.append(part)
    if not texts:
        return not decides
    return texts[0] if len(texts) == 1 else f"({f' {word} '.join(f'({text})' for text in texts)})"


def _not(part: Expression) -> Expression:
    return not part if isinstance(part, bool) else f"not ({part})"


def _is_id(id: str) -> bool:
    try:
        check_id(id)
    except InvalidItemError:
        return False
    return True
