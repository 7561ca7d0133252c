"""Writes that were made before are not made again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexes import LocalCollection, NewItem, Source, Upserted, Write
from indexes.errors import InvalidItemError, RepeatedKeyError, StorageError
from indexes.item_rows import DATABASE_NAME

ATTRIBUTES = {"price": 12.5, "sold": False, "note": None}
NEW = NewItem("vase", np.array([1, 0, 0, 0], np.float32), "warm", ATTRIBUTES, None, Source(b"red"))
OTHER = np.array([0, 1, 0, 0], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "c"


@pytest.fixture
def collection(folder: Path) -> Iterator[LocalCollection]:
    with LocalCollection.create(folder, embedding_size=4, model_fingerprint="m") as opened:
        yield opened


def upsert(collection: LocalCollection, item: NewItem) -> Upserted:
    (answer,) = collection.upsert([item])
    return answer


def write(item: NewItem) -> Write:
    asked = item.write
    assert asked is not None
    return asked


def named(item: NewItem, key: str, position: int = 0) -> NewItem:
    assert item.source is not None
    return replace(item, source=replace(item.source, key=key, position=position))


def of_image(item: NewItem, digest: bytes) -> NewItem:
    """The same item of another image."""
    return replace(item, vector=OTHER, source=Source(digest))


def test_the_same_content_changes_nothing(collection: LocalCollection) -> None:
    assert collection.repeated(write(NEW)) is None
    first = upsert(collection, NEW)
    assert first.created
    again = Upserted(first.item, created=False)
    assert collection.repeated(write(NEW)) == again
    assert upsert(collection, replace(NEW, vector=OTHER)) == again
    np.testing.assert_array_equal(collection.vectors(["vase"]), [NEW.vector])
    assert collection.stats().sequence == 1
    assert collection.check().ok


@pytest.mark.parametrize(
    "changed",
    [
        replace(NEW, label=None),
        replace(NEW, attributes={}),
        replace(NEW, attributes={**ATTRIBUTES, "sold": 0}),
        replace(NEW, attributes={**ATTRIBUTES, "price": "12.5"}),
        replace(NEW, source=Source(b"blue")),
        replace(NEW, source=None),
    ],
)
def test_any_other_content_is_written(collection: LocalCollection, changed: NewItem) -> None:
    upsert(collection, NEW)
    if changed.write is not None:
        assert collection.repeated(changed.write) is None
    answer = upsert(collection, changed)
    assert not answer.created
    assert answer.item.sequence == 2
    assert collection.check().ok


def test_the_order_of_attributes_is_no_difference(collection: LocalCollection) -> None:
    upsert(collection, NEW)
    turned = replace(NEW, attributes=dict(reversed(ATTRIBUTES.items())))
    assert upsert(collection, turned).item.sequence == 1


def test_a_deleted_item_is_written_again(collection: LocalCollection) -> None:
    upsert(collection, NEW)
    collection.delete(["vase"])
    assert collection.repeated(write(NEW)) is None
    assert upsert(collection, NEW).created
    assert collection.check().ok


def test_within_one_upsert_too(collection: LocalCollection) -> None:
    plain = replace(NEW, id="plain", source=None)
    answers = collection.upsert([NEW, plain, NEW, of_image(NEW, b"blue"), NEW, plain])
    # The last of them that is new stays: red, blue, and red again.
    assert [answer.item.sequence for answer in answers] == [1, 2, 1, 3, 4, 5]
    assert collection.count() == 2
    assert collection.check().ok
    hits = collection.search(NEW.vector[None], 5)[0]
    assert sorted(hit.id for hit in hits) == ["plain", "vase"]


def test_a_named_write_is_made_once_whatever_came_between(collection: LocalCollection) -> None:
    first = upsert(collection, named(NEW, "k"))
    upsert(collection, of_image(NEW, b"blue"))
    assert collection.repeated(write(named(NEW, "k"))) == first
    assert upsert(collection, named(NEW, "k")) == first
    np.testing.assert_array_equal(collection.vectors(["vase"]), [OTHER])
    collection.delete(["vase"])
    assert upsert(collection, named(NEW, "k")) == first
    assert collection.count() == 0
    assert collection.check().ok


def test_a_named_write_that_changes_nothing_keeps_its_name(collection: LocalCollection) -> None:
    upsert(collection, NEW)
    for known in (collection.repeated(write(named(NEW, "k"))), upsert(collection, named(NEW, "l"))):
        assert known is not None
        assert (known.created, known.item.sequence) == (False, 1)
    upsert(collection, of_image(NEW, b"blue"))
    for key in ("k", "l"):
        again = upsert(collection, named(NEW, key))
        assert (again.created, again.item.sequence) == (False, 1)
    np.testing.assert_array_equal(collection.vectors(["vase"]), [OTHER])


@pytest.mark.parametrize(
    "other",
    [
        replace(NEW, id="jug"),
        replace(NEW, label="cold"),
        replace(NEW, attributes={}),
        replace(NEW, source=Source(b"blue")),
    ],
)
def test_a_name_of_another_write_is_refused(collection: LocalCollection, other: NewItem) -> None:
    upsert(collection, named(NEW, "k"))
    with pytest.raises(RepeatedKeyError, match="'k' has named another write"):
        collection.repeated(write(named(other, "k")))
    with pytest.raises(RepeatedKeyError, match="take a new key"):
        collection.upsert([replace(NEW, id="beside"), named(other, "k")])
    # All or none.
    assert collection.count() == 1
    assert collection.check().ok


def test_positions_tell_the_writes_of_a_name_apart(collection: LocalCollection) -> None:
    jug = replace(NEW, id="jug")
    first = collection.upsert([named(NEW, "k", 0), named(jug, "k", 1)])
    assert [answer.item.sequence for answer in first] == [1, 2]
    assert collection.upsert([named(NEW, "k", 0), named(jug, "k", 1)]) == first


def test_names_outlive_the_process_and_a_snapshot(
    collection: LocalCollection, folder: Path, tmp_path: Path
) -> None:
    first = upsert(collection, named(NEW, "k"))
    upsert(collection, of_image(NEW, b"blue"))
    collection.snapshot(tmp_path / "copy")
    collection.close()
    for place in (folder, tmp_path / "copy"):
        with LocalCollection.open(place) as again:
            assert upsert(again, named(NEW, "k")) == first
            assert upsert(again, of_image(NEW, b"blue")).item.sequence == 2


def test_names_are_forgotten_after_a_day(
    collection: LocalCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    upsert(collection, named(NEW, "k"))
    now += 24 * 3600 - 1
    assert collection.repeated(write(named(replace(NEW), "k"))) is not None
    upsert(collection, of_image(NEW, b"blue"))
    now += 2
    assert collection.repeated(write(named(NEW, "k"))) is None
    assert upsert(collection, named(NEW, "k")).item.sequence == 3
    with sqlite3.connect(collection.folder / DATABASE_NAME) as connection:
        assert connection.execute("SELECT key, made_at FROM named_writes").fetchall() == [("k", now)]
    connection.close()


def test_a_write_that_fails_is_not_remembered(
    collection: LocalCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("full")

    with monkeypatch.context() as patch:
        patch.setattr("indexes.row_writing.remember", full)
        with pytest.raises(StorageError, match="full"):
            upsert(collection, named(NEW, "k"))
    assert collection.repeated(write(named(NEW, "k"))) is None
    assert upsert(collection, named(NEW, "k")).created


@pytest.mark.parametrize(
    "source",
    [Source(b""), Source(b"x" * 65), Source(b"x", ""), Source(b"x", "k" * 256), Source(b"x", "a\nb")],
)
def test_a_source_that_cannot_be_kept_is_refused(collection: LocalCollection, source: Source) -> None:
    wrong = replace(NEW, source=source)
    with pytest.raises(InvalidItemError):
        collection.repeated(write(wrong))
    with pytest.raises(InvalidItemError):
        upsert(collection, wrong)


def test_a_collection_of_an_earlier_version_learns_it(collection: LocalCollection, folder: Path) -> None:
    upsert(collection, NEW)
    collection.close()
    with sqlite3.connect(folder / DATABASE_NAME) as connection:
        connection.executescript("DROP TABLE named_writes; DROP TABLE sources;")
    connection.close()
    with LocalCollection.open(folder, read_only=True) as reading:
        assert reading.count() == 1
    with LocalCollection.open(folder) as again:
        # Nothing is known of where its items came from.
        assert again.repeated(write(NEW)) is None
        assert upsert(again, NEW).item.sequence == 2
        assert upsert(again, NEW).item.sequence == 2
