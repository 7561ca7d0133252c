import math
from typing import Any

import numpy as np
import pytest

from indexes.collection import MAX_ATTRIBUTES_BYTES, MAX_ID_LENGTH, MAX_THUMBNAIL_BYTES, NewItem
from indexes.errors import InvalidItemError
from indexes.item_checks import checked_items, checked_queries

VECTOR = np.array([0.6, 0.8], dtype=np.float32)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": "shelf/3/../vase 7?.jpg"},
        {"id": "größe \U0001f600"},
        {"id": "x" * MAX_ID_LENGTH},
        {"vector": VECTOR.astype(np.float64)},
        {"vector": VECTOR * np.float32(1.0009)},
        {"vector": np.array([[0.6, 0.0], [0.8, 0.0]], dtype=np.float32)[:, 0]},
        {"label": None},
        {"attributes": {"text": "two\nlines", "n": -(2**63), "x": 1e308, "yes": True, "none": None}},
        {"thumbnail": b"x"},
    ],
)
def test_takes(fields: dict[str, Any]) -> None:
    (checked,) = checked_items([NewItem(**{"id": "a", "vector": VECTOR, "label": "b"} | fields)], 2)
    assert checked.vector.dtype == np.float32
    assert checked.vector.flags.c_contiguous


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"id": ""}, "id must not be empty"),
        ({"id": "x" * 10_000}, "id may have 512 characters; got 10000"),
        ({"id": "a\nb"}, r"without control characters or line breaks; got 'a\nb'"),
        ({"id": "a\0"}, "control characters"),
        ({"id": "\ud800"}, "control characters"),
        ({"id": "\u2028"}, "line breaks"),
        ({"id": 7}, "id must be a string; got int"),
        (
            {"vector": np.array([np.nan, 1], dtype=np.float32)},
            "item 'a': the vector has a NaN or infinity in it",
        ),
        ({"vector": np.array([np.inf, 0], dtype=np.float32)}, "NaN or infinity"),
        ({"vector": np.array([3, 4], dtype=np.float32)}, "must be L2-normalised; its length is 5"),
        ({"vector": np.zeros(2, dtype=np.float32)}, "its length is 0"),
        ({"vector": np.array([3e38, 3e38], dtype=np.float32)}, "must be L2-normalised"),
        ({"vector": VECTOR * np.float32(1.002)}, "must be L2-normalised"),
        ({"vector": np.ones(3, dtype=np.float32)}, "must be 2 floats; got float32 of shape [3]"),
        ({"vector": VECTOR[None]}, "shape [1, 2]"),
        ({"vector": np.array([1, 0])}, "got int64"),
        ({"vector": np.array(["a", "b"])}, "must be 2 floats"),
        ({"label": ""}, "item 'a': label must not be empty"),
        ({"label": "x" * 513}, "label may have 512 characters"),
        ({"label": "a\tb"}, "label must be text without control characters"),
        ({"attributes": {"a": [1]}}, "attribute 'a' must be a string"),
        ({"attributes": {"a": {"b": 1}}}, "attribute 'a' must be"),
        ({"attributes": {"a": math.nan}}, "finite number"),
        ({"attributes": {"a": 2**63}}, "64 bits"),
        ({"attributes": {"a": "x\0"}}, "attribute 'a' must be"),
        ({"attributes": {"a": "\ud800"}}, "attribute 'a' must be"),
        ({"attributes": {"": 1}}, "attribute name must not be empty"),
        ({"attributes": {1: 1}}, "attribute name must be a string"),
        ({"attributes": [1]}, "attributes must be an object"),
        (
            {"attributes": {"a": "x" * MAX_ATTRIBUTES_BYTES}},
            f"attributes may have {MAX_ATTRIBUTES_BYTES} bytes",
        ),
        ({"thumbnail": b""}, "a thumbnail has 1 to"),
        ({"thumbnail": bytes(MAX_THUMBNAIL_BYTES + 1)}, "a thumbnail has 1 to"),
    ],
)
def test_refuses_in_one_line(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidItemError) as refusal:
        checked_items([NewItem(**{"id": "a", "vector": VECTOR} | fields)], 2)
    message = str(refusal.value)
    assert says in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        (VECTOR, "queries must be floats of shape [n, 2]; got float32 of shape [2]"),
        (np.ones((2, 3), np.float32), "shape [2, 3]"),
        (np.ones((1, 2), np.int64), "got int64"),
        (np.stack([VECTOR, VECTOR * np.float32("nan")]), "query 1: the vector has a NaN"),
        (np.stack([VECTOR, 2 * VECTOR]), "query 1: the vector must be L2-normalised; its length is 2"),
    ],
)
def test_refuses_queries(queries: Any, says: str) -> None:
    with pytest.raises(InvalidItemError) as refusal:
        checked_queries(queries, 2)
    assert says in str(refusal.value)


def test_no_queries_are_fine() -> None:
    assert checked_queries(np.empty((0, 2), np.float32), 2).shape == (0, 2)
