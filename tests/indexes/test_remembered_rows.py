"""Rows that are remembered: none too many, and never what a search's own moment does not have."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from indexes.collection import NewItem
from indexes.local_collection import LocalCollection
from indexes.remembered_rows import HitRow, RememberedRows
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 8
QUERIES = unit_vectors(5, D, seed=4)


def rows(start: int, stop: int, characters: int = 0) -> dict[int, HitRow]:
    return {key: HitRow(str(key), None, {}, characters) for key in range(start, stop)}


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[LocalCollection]:
    with LocalCollection.create(tmp_path / "c", embedding_size=D, model_fingerprint=FINGERPRINT) as made:
        made.upsert(items(40, D))
        yield made


def found(collection: LocalCollection) -> set[str]:
    return {hit.id for hits in collection.search(QUERIES, 100) for hit in hits}


def test_rows_come_back_as_they_were() -> None:
    remembered = RememberedRows()
    remembered.add(rows(1, 10))
    assert remembered.of([3, 12, 7]) == {3: HitRow("3", None, {}, 0), 7: HitRow("7", None, {}, 0)}
    assert remembered.of([]) == {}


@pytest.mark.parametrize("characters", [0, 1000])
def test_the_room_is_kept_and_what_is_asked_for_stays(characters: int) -> None:
    room = 100_000
    most = room // (500 + characters)
    remembered = RememberedRows(room)
    remembered.add(rows(0, 3, characters))
    for key in range(3, 5 * most, 2):
        remembered.add(rows(key, key + 2, characters))
        assert len(remembered.of([0, 1])) == 2, "they are asked for all the time"
    known = remembered.of(range(6 * most))
    assert 0 < len(known) <= most
    assert 2 not in known


def test_threads_may_add_and_ask_at_once() -> None:
    remembered = RememberedRows(50_000)
    wrong: list[int] = []

    def work(first: int) -> None:
        for key in range(first, first + 3000):
            remembered.add(rows(key, key + 3))
            known = remembered.of(range(max(0, key - 20), key + 20))
            wrong.extend(each for each, row in known.items() if row.id != str(each))

    threads = [Thread(target=work, args=[first]) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_second_search_reads_no_rows(collection: LocalCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    first = collection.search(QUERIES, 10)
    added: list[int] = []
    monkeypatch.setattr(RememberedRows, "add", lambda self, rows: added.extend(rows))
    assert collection.search(QUERIES, 10) == first
    assert not added


def test_a_hit_that_is_changed_changes_no_other(collection: LocalCollection) -> None:
    hit, other = (collection.search(QUERIES[:1], 1)[0][0] for _ in range(2))
    hit.attributes["number"] = "changed"  # type: ignore[index] # what typed code cannot do
    assert collection.search(QUERIES[:1], 1)[0][0] == other


def test_an_item_gone_from_the_rows_alone_is_not_found(
    collection: LocalCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As between a write and the index's following it, and after a write of which that failed."""
    vectors = collection.vectors(["7", "8"])
    assert [hits[0].id for hits in collection.search(vectors, 1)] == ["7", "8"]
    monkeypatch.setattr(collection._index, "apply", lambda *_: None)
    collection.delete(["7"])
    collection.upsert([NewItem("8", vectors[1], "new")])
    seventh, eighth = (hits[0] for hits in collection.search(vectors, 1))
    assert seventh.id != "7"
    assert (eighth.id, eighth.label) == ("8", "new")


def test_a_moment_before_a_write_does_not_have_what_it_brought(collection: LocalCollection) -> None:
    rows, index = collection._rows, collection._index
    with rows.database.reading() as before:
        clock = index.refresh(before, follow=False)
        assert clock == 40
        collection.upsert([NewItem("7", QUERIES[0], "new")])
        assert collection.search(QUERIES[:1], 1)[0][0].label == "new", "it is remembered now"
        assert index.refresh(before, follow=False) == clock
        assert rows.by_key(before, {8, 41}, there=clock).keys() == {8}


def test_readers_do_not_find_what_the_writer_has_deleted(collection: LocalCollection) -> None:
    with LocalCollection.open(collection.folder, read_only=True) as reader:
        assert found(reader) == {str(i) for i in range(40)}
        collection.delete(["7"])
        collection.upsert([NewItem("8", QUERIES[0], "new")])
        assert found(reader) == found(collection) == {str(i) for i in range(40)} - {"7"}
        assert reader.search(QUERIES[:1], 1)[0][0].label == "new"
