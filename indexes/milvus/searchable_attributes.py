"""Attributes in the form in which Milvus can filter by them, beside the form in which an item gives them back.

`facts`, an array of tokens: one says of what kind an attribute is, one what its value is. A condition of equality is
then whether an array that is always there contains a token: true or false, never a third thing, whatever the name or
the value is made of. `ranges`, a JSON object: numbers (as `ordered` text) and strings, to be compared with bounds. Its
keys are digests as well, because Milvus does not take every name apart that an attribute may have.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence

from indexes.filters import Scalar
from indexes.milvus.ordered_numbers import ordered

KINDS = ("boolean", "number", "text")

_TOKEN_BYTES = 12
"""By 96 bits two values never meet by chance."""

_KEY_BYTES = 8
"""Of a name in `ranges`, where 64 KiB have to hold all attributes of an item."""


def facts(attributes: Mapping[str, Scalar]) -> list[str]:
    """Two tokens for each attribute that is not null."""
    return [
        token
        for name, value in attributes.items()
        if value is not None
        for token in (kind_token(name, kind_of(value)), value_token(name, value))
    ]


def ranges(attributes: Mapping[str, Scalar]) -> dict[str, str]:
    """What bounds are compared with."""
    return {
        range_key(name, value): value if isinstance(value, str) else ordered(value)
        for name, value in attributes.items()
        if value is not None and not isinstance(value, bool)
    }


def kind_of(value: str | int | float | bool) -> str:
    """One of KINDS."""
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def kind_token(name: str, kind: str) -> str:
    """That the attribute is there and of this kind."""
    return _digest(["kind", name, kind], _TOKEN_BYTES)


def value_token(name: str, value: str | int | float | bool) -> str:
    """That the attribute has this value. 1 and 1.0 are one value, 1, "1" and true are three."""
    same = value if isinstance(value, str | bool) else ordered(value)
    return _digest(["value", name, kind_of(value), same], _TOKEN_BYTES)


def range_key(name: str, value: str | int | float) -> str:
    """Where `ranges` has the values of this name and this kind."""
    return kind_of(value)[0] + _digest([name], _KEY_BYTES)


def _digest(parts: Sequence[Scalar], size: int) -> str:
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=size).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
