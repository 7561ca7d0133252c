"""What a filter let pass is remembered only as long as it is true, and never for another filter."""

from pathlib import Path

import numpy as np
import pytest

from indexes import filtered_keys, parse_filter
from indexes.collection import NewItem
from indexes.filtered_keys import FilteredKeys
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 16


@pytest.fixture
def collection(tmp_path: Path) -> LocalCollection:
    collection = LocalCollection.create(tmp_path, embedding_size=D, model_fingerprint=FINGERPRINT)
    collection.upsert(items(100, D))
    return collection


def test_a_write_makes_what_is_known_worthless(collection: LocalCollection) -> None:
    even = parse_filter({"attributes": {"even": True}})
    query = unit_vectors(1, D, seed=3)
    for _ in range(2):
        assert len(collection.search(query, 100, even)[0]) == 50
    collection.delete(["0"])
    assert len(collection.search(query, 100, even)[0]) == 49
    collection.upsert([NewItem("1", query[0], attributes={"even": True})])
    assert collection.search(query, 100, even)[0][0].id == "1"
    assert len(collection.search(query, 100, even)[0]) == 50


def test_asked_again_the_rows_are_not_read(collection: LocalCollection) -> None:
    rows = collection._rows
    known = FilteredKeys(rows)
    # To Python 1 == True; to a filter they are two values.
    filters = [parse_filter({"attributes": {"even": value}}) for value in (True, 1)]
    with rows.database.reading() as connection:
        found = [known.of(connection, filter) for filter in filters]
        assert [len(keys) for keys in found] == [50, 0]
        for filter, keys in zip(filters, found, strict=True):
            assert known.of(connection, filter) is keys
            np.testing.assert_array_equal(keys, rows.keys(connection, filter))


def test_memory_is_bounded(collection: LocalCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtered_keys, "_MOST_FILTERS", 3)
    monkeypatch.setattr(filtered_keys, "_MOST_KEYS", 120)
    known = FilteredKeys(collection._rows)
    with collection._rows.database.reading() as connection:
        for number in (1, 2, 3, 4):
            known.of(connection, parse_filter({"attributes": {"number": number}}))
        assert len(known._known) == 3
        known.of(connection, parse_filter({"attributes": {"number": {"gte": 50}}}))
        known.of(connection, parse_filter({"attributes": {"number": {"gte": 0}}}))
        assert known._size() == 100, "the oldest have gone"
