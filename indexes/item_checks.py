"""What a collection can hold, checked once on the way in."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from indexes.collection import (
    MAX_ATTRIBUTES_BYTES,
    MAX_DIGEST_BYTES,
    MAX_ID_LENGTH,
    MAX_KEY_LENGTH,
    MAX_LABEL_LENGTH,
    MAX_THUMBNAIL_BYTES,
    NORM_TOLERANCE,
    NewItem,
    Source,
)
from indexes.errors import InvalidItemError


def checked_items(items: Sequence[NewItem], embedding_size: int) -> list[NewItem]:
    """The items, with vectors as contiguous float32[d]. Raises InvalidItemError naming the item and what is wrong."""
    return [_checked(item, embedding_size) for item in items]


def check_id(id: str) -> None:
    """Raises InvalidItemError unless it is a non-empty text within MAX_ID_LENGTH without control characters."""
    _check_text(id, "id", MAX_ID_LENGTH)


def checked_queries(vectors: NDArray[np.floating], embedding_size: int) -> NDArray[np.float32]:
    """Queries as contiguous float32[q, d]. Raises InvalidItemError if not of that shape, finite and normalised."""
    queries = np.asarray(vectors)
    if queries.ndim != 2 or queries.shape[1] != embedding_size or queries.dtype.kind != "f":
        raise InvalidItemError(
            f"queries must be floats of shape [n, {embedding_size}]; got {queries.dtype} of shape {list(queries.shape)}"
        )
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    wrong = np.flatnonzero(~_normalised(queries))
    if len(wrong):
        raise InvalidItemError(f"query {wrong[0]}: {_wrong_length(queries[wrong[0]])}")
    return queries


def check_write(id: str, label: str | None, attributes: Mapping[str, object], source: Source | None) -> None:
    """Raises InvalidItemError if an item could not be written so, whatever its vector."""
    check_id(id)
    name = f"item {_shown(id)}"
    if label is not None:
        _check_text(label, f"{name}: label", MAX_LABEL_LENGTH)
    _check_attributes(attributes, name)
    if source is not None:
        if not 0 < len(source.content) <= MAX_DIGEST_BYTES:
            raise InvalidItemError(
                f"{name}: a digest has 1 to {MAX_DIGEST_BYTES} bytes; got {len(source.content)}"
            )
        if source.key is not None:
            _check_text(source.key, f"{name}: the key of the write", MAX_KEY_LENGTH)


def _checked(item: NewItem, embedding_size: int) -> NewItem:
    check_write(item.id, item.label, item.attributes, item.source)
    name = f"item {_shown(item.id)}"
    if item.thumbnail is not None and not 0 < len(item.thumbnail) <= MAX_THUMBNAIL_BYTES:
        raise InvalidItemError(
            f"{name}: a thumbnail has 1 to {MAX_THUMBNAIL_BYTES} bytes; got {len(item.thumbnail)}"
        )
    vector = np.asarray(item.vector)
    if vector.shape != (embedding_size,) or vector.dtype.kind != "f":
        raise InvalidItemError(
            f"{name}: the vector must be {embedding_size} floats; got {vector.dtype} of shape {list(vector.shape)}"
        )
    vector = np.ascontiguousarray(vector, dtype=np.float32)
    if not _normalised(vector[None])[0]:
        raise InvalidItemError(f"{name}: {_wrong_length(vector)}")
    return replace(item, vector=vector)


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore", invalid="ignore"):
        # A NaN or an infinity makes the comparison false.
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        return np.asarray(np.abs(lengths - 1) <= NORM_TOLERANCE)


def _wrong_length(vector: NDArray[np.float32]) -> str:
    if not np.isfinite(vector).all():
        return "the vector has a NaN or infinity in it"
    length = float(np.linalg.norm(vector.astype(np.float64)))
    return f"the vector must be L2-normalised; its length is {length:.4g}, divide by it"


def _check_text(text: str, what: str, longest: int) -> None:
    if not isinstance(text, str):
        raise InvalidItemError(f"{what} must be a string; got {type(text).__name__}")
    if not text:
        raise InvalidItemError(f"{what} must not be empty")
    if len(text) > longest:
        raise InvalidItemError(f"{what} may have {longest} characters; got {len(text)} ({_shown(text)})")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise InvalidItemError(
            f"{what} must be text without control characters or line breaks; got {_shown(text)}"
        )


def _check_attributes(attributes: Mapping[str, object], name: str) -> None:
    if not isinstance(attributes, Mapping):
        raise InvalidItemError(f"{name}: attributes must be an object of names and values")
    for key, value in attributes.items():
        _check_text(key, f"{name}: attribute name", MAX_LABEL_LENGTH)
        if not _storable(value):
            raise InvalidItemError(
                f"{name}: attribute {_shown(key)} must be a string, a finite number of 64 bits, a boolean or null"
            )
    size = len(json.dumps(dict(attributes), ensure_ascii=False).encode())
    if size > MAX_ATTRIBUTES_BYTES:
        raise InvalidItemError(
            f"{name}: attributes may have {MAX_ATTRIBUTES_BYTES} bytes as JSON; got {size}"
        )


def _storable(value: object) -> bool:
    if isinstance(value, str):
        # Line breaks are fine in a description; NUL would end the text for SQLite.
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _shown(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else shown[:77] + "..."
