"""What is written beside the items, what failures leave, and writes that need not be made again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexes.collection import NewItem, Scalar, Source, Upserted, Write
from indexes.errors import CollectionError, RepeatedKeyError, StorageError
from indexes.local_collection import LocalCollection
from indexes.milvus import beside, writing
from indexes.milvus.beside import Beside, Note, label_note
from indexes.milvus.connection import Connection
from indexes.milvus.searchable_attributes import facts, ranges
from indexes.milvus_collection import MilvusCollection
from tests.indexes.milvus_lite import create_milvus, needs_milvus_lite, open_milvus, settings
from tests.indexes.unit_vectors import items, unit_vectors

pytestmark = needs_milvus_lite
D = 4
VECTORS = unit_vectors(4, D)
BIG = np.random.default_rng(0).bytes(200_000)
NEW = NewItem("vase", VECTORS[0], "warm", {"price": 12.5, "sold": False}, BIG, Source(b"red"))


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[MilvusCollection]:
    with create_milvus(tmp_path, embedding_size=D) as collection:
        yield collection


def kept(folder: Path, kind: beside.Kind) -> list[str]:
    """Keys of what is beside the items."""
    connection = Connection(settings(folder))
    try:
        return [key for key, _, _ in Beside(connection).of_kind(kind)]
    finally:
        connection.close()


def write(item: NewItem) -> Write:
    asked = item.write
    assert asked is not None
    return asked


def named(item: NewItem, key: str) -> NewItem:
    assert item.source is not None
    return replace(item, source=replace(item.source, key=key))


def upsert(collection: MilvusCollection, item: NewItem) -> Upserted:
    (answer,) = collection.upsert([item])
    return answer


def test_a_thumbnail_of_several_rows_and_what_is_left_of_it(
    collection: MilvusCollection, tmp_path: Path
) -> None:
    # The greatest there may be, and an id that needs quoting.
    odd = replace(NEW, id="a \"b\" \\ 'c' / \U0001f600" + "é" * 490, thumbnail=BIG * 20, source=None)
    collection.upsert([odd, NEW])
    assert collection.thumbnail(odd.id) == BIG * 20
    assert collection.thumbnail("vase") == BIG
    assert len(kept(tmp_path, "thumbnail")) == 87
    collection.upsert([replace(odd, thumbnail=b"x")])
    collection.delete(["vase"])
    assert collection.thumbnail(odd.id) == b"x"
    assert len(kept(tmp_path, "thumbnail")) == 1
    assert collection.check().ok


def test_labels_are_counted_as_they_come_and_go(collection: MilvusCollection) -> None:
    collection.upsert(items(10, D))
    assert collection.stats().labels == 5
    collection.delete(["3", "8"])
    assert collection.stats().labels == 4
    collection.upsert([NewItem("1", VECTORS[0], "other"), NewItem("6", VECTORS[0])])
    assert collection.stats().labels == 4
    collection.upsert([NewItem("1", VECTORS[0], "label 3")])
    assert collection.stats().labels == 4
    assert collection.check().ok


def test_what_fails_before_the_items_changes_nothing(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = upsert(collection, NEW)
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "upsert", _fails_for("items"))
        with pytest.raises(StorageError, match="full"):
            collection.upsert([replace(NEW, label="cold", thumbnail=b"y", source=None)])
    assert collection.get(["vase"]) == [first.item]
    assert collection.thumbnail("vase") == BIG
    assert collection.stats().sequence == first.item.sequence
    # A thumbnail that nobody asks for is all that is left of it.
    assert len(kept(tmp_path, "thumbnail")) == 6
    assert collection.check().ok


def test_what_fails_after_the_items_ends_the_same_once_it_is_sent_again(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upsert(collection, NEW)
    changed = named(replace(NEW, label="cold", source=Source(b"blue")), "k")
    with monkeypatch.context() as patch:
        patch.setattr(Beside, "put", _fails_after_thumbnails(Beside.put))
        with pytest.raises(StorageError, match="full"):
            upsert(collection, changed)
    # Written, but not acknowledged: neither named nor in the clock.
    (stored,) = collection.get(["vase"])
    assert stored is not None
    assert stored.label == "cold"
    collection.close()
    with open_milvus(tmp_path) as again:
        assert again.stats().sequence == stored.sequence
        assert upsert(again, changed) == Upserted(stored, created=False)
        assert again.repeated(write(changed)) == Upserted(stored, created=False)
        again.optimise()
        assert again.stats().labels == 1
        assert again.check().ok


def test_a_failed_clean_up_is_no_failed_write(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    upsert(collection, NEW)
    with monkeypatch.context() as patch:
        patch.setattr(Beside, "delete", _fails)
        assert collection.delete(["vase"]) == [True]
    assert "not cleaned up" in caplog.text
    assert collection.count() == 0
    # Its label is still counted, which `check` says and `optimise` puts right.
    assert not collection.check().ok
    collection.optimise()
    assert collection.check().ok


def test_an_upsert_that_does_not_fit_one_request_is_refused(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_MOST_REQUEST_BYTES", 4000)
    with pytest.raises(CollectionError, match="upsert fewer at a time"):
        collection.upsert(items(20, D))
    assert collection.count() == 0
    assert len(collection.upsert(items(3, D))) == 3


def test_attributes_as_long_as_they_may_be(collection: MilvusCollection) -> None:
    # As many as 16 KiB hold: two letters and a digit each.
    many: dict[str, Scalar] = {f"{chr(65 + i % 52)}{chr(65 + i // 52)}": i % 10 for i in range(1800)}
    long = {"text": "\U0001f600" * 4000}
    assert len(json.dumps(ranges(many))) < 65_536
    assert len(facts(many)) < 4096
    collection.upsert([NewItem("many", VECTORS[0], None, many), NewItem("long", VECTORS[1], None, long)])
    assert [item and item.attributes for item in collection.get(["many", "long"])] == [many, long]
    assert collection.check().ok


def test_numbers_follow_each_other_whatever_the_time_says(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = upsert(collection, replace(NEW, source=None)).item.sequence
    monkeypatch.setattr("time.time_ns", lambda: 5)
    assert upsert(collection, replace(NEW, source=None)).item.sequence == first + 1
    collection.delete(["vase"])
    collection.close()
    with open_milvus(tmp_path) as again:
        assert again.stats().sequence == first + 2
        assert upsert(again, NEW).item.sequence == first + 3
        # 53 bits, so that a client whose numbers are doubles reads them right.
        assert first < 2**53
        assert len(kept(tmp_path, "clock")) == 2


def test_two_that_have_it_open_see_each_others_writes(collection: MilvusCollection, tmp_path: Path) -> None:
    with open_milvus(tmp_path) as other:
        (mine,) = collection.upsert([NewItem("a", VECTORS[0], "x")])
        assert other.get(["a"]) == [mine.item]
        (theirs,) = other.upsert([NewItem("a", VECTORS[1], "y")])
        assert not theirs.created
        assert collection.get(["a"]) == [theirs.item]
        assert collection.stats().sequence == other.stats().sequence == theirs.item.sequence
        assert collection.stats().labels == 1


# The same promises as in a folder (tests/indexes/test_repeated_writes.py)


def test_the_same_content_changes_nothing(collection: MilvusCollection) -> None:
    assert collection.repeated(write(NEW)) is None
    first = upsert(collection, NEW)
    again = Upserted(first.item, created=False)
    assert collection.repeated(write(NEW)) == again
    assert upsert(collection, replace(NEW, vector=VECTORS[1])) == again
    np.testing.assert_array_equal(collection.vectors(["vase"]), [NEW.vector])
    for changed in (replace(NEW, label=None), replace(NEW, attributes={"price": 12.5, "sold": 0})):
        assert collection.repeated(write(changed)) is None
    assert upsert(collection, replace(NEW, source=None)).item.sequence > first.item.sequence


def test_a_named_write_is_made_once_whatever_came_between(
    collection: MilvusCollection, tmp_path: Path
) -> None:
    first = upsert(collection, named(NEW, "k"))
    upsert(collection, replace(NEW, vector=VECTORS[1], source=Source(b"blue")))
    assert collection.repeated(write(named(NEW, "k"))) == first
    assert upsert(collection, named(NEW, "k")) == first
    np.testing.assert_array_equal(collection.vectors(["vase"]), [VECTORS[1]])
    with pytest.raises(RepeatedKeyError, match="'k' has named another write"):
        collection.upsert([replace(NEW, id="beside"), named(replace(NEW, label="cold"), "k")])
    assert collection.count() == 1
    collection.close()
    with open_milvus(tmp_path) as again:
        assert upsert(again, named(NEW, "k")) == first


def test_within_one_upsert_too(collection: MilvusCollection) -> None:
    blue = replace(NEW, source=Source(b"blue"))
    answers = collection.upsert([named(NEW, "k"), NEW, blue, NEW, named(NEW, "k")])
    numbers = [answer.item.sequence for answer in answers]
    assert numbers[0] == numbers[1] == numbers[4] < numbers[2] < numbers[3]
    assert collection.get(["vase"]) == [answers[3].item]
    assert collection.check().ok


def test_names_are_forgotten_after_a_day(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(writing, "_now", lambda: int(now * 1e6))
    upsert(collection, named(NEW, "k"))
    upsert(collection, replace(NEW, source=Source(b"blue")))
    now += 24 * 3600 - 1
    assert collection.repeated(write(named(NEW, "k"))) is not None
    now += 2
    assert collection.repeated(write(named(NEW, "k"))) is None
    collection._writing._forgotten_at = -1e9
    upsert(collection, named(NEW, "l"))
    assert kept(tmp_path, "name") == ["name\n0\nl"]


def test_a_snapshot_holds_everything_but_the_names(collection: MilvusCollection, tmp_path: Path) -> None:
    first = upsert(collection, named(NEW, "k"))
    collection.upsert(items(5, D))
    assert collection.snapshot(tmp_path / "copy") == collection.stats().sequence
    with LocalCollection.open(tmp_path / "copy") as copy:
        assert copy.get(["vase"]) == [first.item]
        assert copy.thumbnail("vase") == BIG
        assert copy.thumbnail("1") is None
        np.testing.assert_array_equal(copy.vectors(["vase"]), [NEW.vector])
        assert copy.check().ok
        # Known by its content; its name is made anew.
        assert copy.upsert([NEW]) == [Upserted(first.item, created=False)]
        assert copy.stats().sequence == collection.stats().sequence


def test_check_finds_what_does_not_fit(collection: MilvusCollection, tmp_path: Path) -> None:
    collection.upsert([NEW, *items(5, D)])
    connection = Connection(settings(tmp_path))
    (row,) = connection.query("items", 'id == "3"', ["*"])
    connection.upsert("items", [row | {"vector": [2.0, 0, 0, 0], "facts": []}])
    Beside(connection).put([label_note("nobody's")])
    sequence = collection.get(["vase"])[0].sequence  # type: ignore[union-attr]
    Beside(connection).delete([Note("thumbnail", ("vase", str(sequence), "2"))])
    connection.close()
    report = collection.check()
    assert report.items == 6
    assert [line.split(" ", 1)[0] for line in report.problems] == ["1"] * 4
    assert [word in " ".join(report.problems) for word in ("damaged", "filtered", "thumbnail", "labels")]
    with pytest.raises(StorageError, match=r"'vase'.*upsert it again"):
        collection.thumbnail("vase")


def _fails(*_: object) -> None:
    raise StorageError("full")


def _fails_for(collection: str) -> object:
    wanted = Connection.upsert

    def upsert(self: Connection, name: str, rows: list[dict[str, object]]) -> None:
        if name == collection:
            raise StorageError("full")
        wanted(self, name, rows)

    return upsert


def _fails_after_thumbnails(put: object) -> object:
    def failing(self: Beside, notes: list[Note]) -> None:
        if any(note.kind != "thumbnail" for note in notes):
            raise StorageError("full")
        put(self, notes)  # type: ignore[operator]

    return failing
