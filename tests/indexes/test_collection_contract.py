"""What every collection promises, whatever it is made of."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from indexes.collection import Collection, Hit, HitField, NewItem
from indexes.errors import CollectionError, InvalidItemError, UnknownItemError
from indexes.filter_parsing import parse_filter
from indexes.local_collection import LocalCollection
from tests.indexes.milvus_lite import create_milvus, needs_milvus_lite, open_milvus
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 8
Reopen = Callable[[Path], Collection]


def create_local(folder: Path) -> Collection:
    return LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT)


def create_in_milvus(folder: Path) -> Collection:
    return create_milvus(folder, embedding_size=D)


@pytest.fixture(
    params=[
        pytest.param((create_local, LocalCollection.open), id="local"),
        pytest.param((create_in_milvus, open_milvus), id="milvus", marks=needs_milvus_lite),
    ]
)
def implementation(request: pytest.FixtureRequest) -> tuple[Callable[[Path], Collection], Reopen]:
    made: tuple[Callable[[Path], Collection], Reopen] = request.param
    return made


@pytest.fixture
def reopen(implementation: tuple[Callable[[Path], Collection], Reopen]) -> Reopen:
    return implementation[1]


@pytest.fixture
def collection(
    implementation: tuple[Callable[[Path], Collection], Reopen], tmp_path: Path
) -> Iterator[Collection]:
    with implementation[0](tmp_path / "collection") as collection:
        yield collection


def same(found: list[list[Hit]], expected: list[list[Hit]]) -> bool:
    """But for the last digits of the scores, which depend on how an engine sums."""
    return [[replace(hit, score=0) for hit in hits] for hits in found] == [
        [replace(hit, score=0) for hit in hits] for hits in expected
    ] and np.allclose(
        [hit.score for hits in found for hit in hits],
        [hit.score for hits in expected for hit in hits],
        atol=1e-6,
    )


def test_an_upsert_answers_with_the_item_and_whether_it_is_new(collection: Collection) -> None:
    vectors = unit_vectors(3, D)
    first, second = collection.upsert(
        [NewItem("a/1", vectors[0], "x", {"price": 1.5, "sold": False}), NewItem("b", vectors[1])]
    )
    assert first.created
    assert second.created
    assert (first.item.id, first.item.label, first.item.attributes) == (
        "a/1",
        "x",
        {"price": 1.5, "sold": False},
    )
    assert second.item.sequence > first.item.sequence
    (again,) = collection.upsert([NewItem("a/1", vectors[2], "y")])
    assert not again.created
    assert again.item.sequence > second.item.sequence
    assert collection.get(["a/1", "nothing", "b"]) == [again.item, None, second.item]
    assert collection.get(["a/1"])[0] == again.item
    np.testing.assert_array_equal(collection.vectors(["a/1", "b", "a/1"]), vectors[[2, 1, 2]])
    assert collection.count() == 2


def test_of_one_id_twice_in_one_upsert_the_later_stays(collection: Collection) -> None:
    vectors = unit_vectors(2, D)
    first, second = collection.upsert([NewItem("a", vectors[0], "x"), NewItem("a", vectors[1], "y")])
    assert (first.created, second.created) == (True, False)
    assert collection.get(["a"]) == [second.item]
    assert [hit.label for hit in collection.search(vectors[:1], 5)[0]] == ["y"]


def test_one_bad_item_keeps_out_the_whole_upsert(collection: Collection) -> None:
    good, bad = items(2, D)
    with pytest.raises(InvalidItemError, match="'1'"):
        collection.upsert([good, NewItem("1", bad.vector * 2)])
    assert collection.count() == 0
    assert collection.upsert([]) == []


def test_deleting(collection: Collection) -> None:
    collection.upsert(items(5, D))
    assert collection.delete(["1", "missing", "3", "1"]) == [True, False, True, False]
    assert collection.delete([]) == []
    assert [item.id for item in collection.page()] == ["0", "2", "4"]
    (hits,) = collection.search(unit_vectors(1, D), 10)
    assert sorted(hit.id for hit in hits) == ["0", "2", "4"]
    (again,) = collection.upsert(items(2, D)[1:])
    assert again.created


def test_search_is_a_sort_by_cosine(collection: Collection) -> None:
    stored = items(300, D)
    collection.upsert(stored)
    queries = unit_vectors(7, D, seed=4)
    for query, hits in zip(queries, collection.search(queries, 12), strict=True):
        ranked = sorted(stored, key=lambda item: -float(item.vector @ query))[:12]
        assert [hit.id for hit in hits] == [item.id for item in ranked]
        assert [hit.label for hit in hits] == [item.label for item in ranked]
        assert [hit.attributes for hit in hits] == [item.attributes for item in ranked]
        np.testing.assert_allclose(
            [hit.score for hit in hits], [item.vector @ query for item in ranked], atol=1e-6
        )


@pytest.mark.parametrize(
    "condition",
    [
        {"label": "label 3"},
        {"label": {"in": ["label 0", "label 4", "missing"]}},
        {"attributes": {"number": {"gte": 40, "lt": 140}, "even": True}},
        {"not": {"label": {"in": ["label 1", "label 2"]}}},
        {"id": {"in": ["7", "70", "7000"]}},
        {"label": "missing"},
        {},
    ],
)
def test_a_filtered_search_is_exact(collection: Collection, condition: dict[str, object]) -> None:
    stored = items(300, D)
    collection.upsert(stored)
    filter = parse_filter(condition)
    passing = [item for item in stored if filter.matches(item.id, item.label, item.attributes)]
    queries = unit_vectors(3, D, seed=4)
    for k in (5, 400):
        for query, hits in zip(queries, collection.search(queries, k, filter), strict=True):
            ranked = sorted(passing, key=lambda item: -float(item.vector @ query))[:k]
            assert [hit.id for hit in hits] == [item.id for item in ranked]
    assert collection.count(filter) == len(passing)
    assert [item.id for item in collection.page(limit=400, filter=filter)] == sorted(
        item.id for item in passing
    )


def test_k_beyond_the_gallery_and_an_empty_gallery(collection: Collection) -> None:
    queries = unit_vectors(2, D)
    assert collection.search(queries, 10) == [[], []]
    assert collection.search(queries, 10**12) == [[], []]
    collection.upsert(items(3, D))
    assert [len(hits) for hits in collection.search(queries, 10**12)] == [3, 3]
    assert collection.search(queries[:0], 3) == []
    for k in (0, -1):
        with pytest.raises(CollectionError, match="k must be at least 1"):
            collection.search(queries, k)


@pytest.mark.parametrize("scale", [2.0, float("nan"), 0.0])
def test_a_query_that_is_no_unit_vector_is_refused(collection: Collection, scale: float) -> None:
    with pytest.raises(InvalidItemError, match="query 0"):
        collection.search(unit_vectors(1, D) * np.float32(scale), 3)
    with pytest.raises(InvalidItemError, match=r"shape \[n, 8\]"):
        collection.search(unit_vectors(1, D + 1), 3)


def test_paging_goes_through_everything_in_order(collection: Collection) -> None:
    collection.upsert(items(25, D))
    seen: list[str] = []
    while page := collection.page(after=seen[-1] if seen else None, limit=4):
        seen += [item.id for item in page]
    assert seen == sorted(str(i) for i in range(25))
    with pytest.raises(CollectionError, match="limit must be at least 1"):
        collection.page(limit=0)
    with pytest.raises(InvalidItemError):
        collection.page(after="\ud800")


def test_unknown_and_impossible_ids(collection: Collection) -> None:
    for id in ("unknown", "x" * 10_000, "\ud800", "a\nb"):
        assert collection.get([id]) == [None]
        assert collection.delete([id]) == [False]
        with pytest.raises(UnknownItemError) as refusal:
            collection.vectors([id])
        assert len(str(refusal.value)) < 200
        assert str(refusal.value).isprintable()
        with pytest.raises(UnknownItemError):
            collection.thumbnail(id)


def test_thumbnails(collection: Collection) -> None:
    vector = unit_vectors(1, D)[0]
    collection.upsert([NewItem("a", vector, thumbnail=b"jpeg"), NewItem("b", vector)])
    assert collection.thumbnail("a") == b"jpeg"
    assert collection.thumbnail("b") is None
    collection.upsert([NewItem("a", vector, thumbnail=b"other")])
    assert collection.thumbnail("a") == b"other"
    collection.delete(["a"])
    with pytest.raises(UnknownItemError, match="'a'"):
        collection.thumbnail("a")


def test_labelled_leaves_out_what_has_no_label(collection: Collection) -> None:
    stored = items(6, D)
    collection.upsert([*stored, NewItem("none", stored[0].vector)])
    vectors, labels, sequence = collection.labelled()
    assert vectors.shape == (6, D)
    assert sorted(labels) == sorted(item.label or "" for item in stored)
    by_label = {(label, vector.tobytes()) for label, vector in zip(labels, vectors, strict=True)}
    assert by_label == {(item.label, item.vector.tobytes()) for item in stored}
    assert sequence == collection.stats().sequence


def test_a_sample_is_spread_over_the_writes(collection: Collection) -> None:
    assert collection.sample(4).shape == (0, D)
    stored = items(9, D)
    collection.upsert(stored)
    np.testing.assert_array_equal(collection.sample(3), [stored[i].vector for i in (0, 3, 6)])
    assert collection.sample(100).shape == (9, D)


def test_stats(collection: Collection) -> None:
    collection.upsert(items(30, D))
    stats = collection.stats()
    assert (stats.items, stats.labels, stats.embedding_size) == (30, 5, D)
    assert stats.model_fingerprint == FINGERPRINT
    assert stats.bytes_on_disk > 30 * D * 4
    collection.delete(["3"])
    assert collection.stats().sequence > stats.sequence


def test_everything_is_there_after_closing_and_opening(
    tmp_path: Path, collection: Collection, reopen: Reopen
) -> None:
    collection.upsert(items(40, D))
    collection.delete(["7"])
    pages, sequence = collection.page(), collection.stats().sequence
    hits = collection.search(unit_vectors(3, D, seed=4), 10)
    collection.close()
    collection.close()
    with pytest.raises(CollectionError, match="closed"):
        collection.count()
    with pytest.raises(CollectionError, match="closed"):
        collection.upsert(items(1, D))
    with reopen(tmp_path / "collection") as again:
        assert again.page() == pages
        assert again.stats().sequence == sequence
        assert same(again.search(unit_vectors(3, D, seed=4), 10), hits)


def test_a_snapshot_opens_as_what_was(tmp_path: Path, collection: Collection) -> None:
    collection.upsert(items(40, D))
    sequence = collection.snapshot(tmp_path / "deep" / "snapshot")
    pages, hits = collection.page(), collection.search(unit_vectors(3, D, seed=4), 10)
    collection.delete([str(i) for i in range(20)])
    # Whatever the collection is made of, its copy is a folder that needs nothing else.
    with LocalCollection.open(tmp_path / "deep" / "snapshot") as copy:
        assert copy.stats().sequence == sequence
        assert copy.page() == pages
        assert same(copy.search(unit_vectors(3, D, seed=4), 10), hits)
    with pytest.raises(CollectionError, match="new or empty folder"):
        collection.snapshot(tmp_path / "deep" / "snapshot")


def test_searches_beside_writes_are_complete_and_of_one_moment(collection: Collection) -> None:
    """Each item is replaced again and again by one with the same vector; a search must see each exactly once."""
    stored = items(60, D)
    collection.upsert(stored)
    stop, wrong = Event(), list[str]()
    ids = sorted(item.id for item in stored)
    odd = parse_filter({"attributes": {"even": False}})

    def search() -> None:
        query = unit_vectors(1, D, seed=4)
        while not stop.is_set():
            for filter, expected in ((None, ids), (odd, [id for id in ids if int(id) % 2])):
                found = sorted(hit.id for hit in collection.search(query, 100, filter)[0])
                if found != expected:
                    wrong.append(f"{filter}: {found}")
                top = collection.search(query, 5, filter)[0]
                if len(top) != 5:
                    wrong.append(str(top))

    threads = [Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(60):
        collection.upsert(stored[i % 50 : i % 50 + 10])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("include", [(), ("label",), ("attributes",), ("label", "attributes")])
def test_a_hit_holds_what_was_asked_for(collection: Collection, include: tuple[HitField, ...]) -> None:
    vectors = unit_vectors(2, D)
    collection.upsert([NewItem("a", vectors[0], "x", {"n": 1}), NewItem("b", vectors[1], "y", {"n": 2})])
    everything = collection.search(vectors, 2)
    for filter in (None, parse_filter({"attributes": {"n": {"gt": 0}}})):
        found = collection.search(vectors, 2, filter, include=frozenset(include))
        expected = [
            [
                replace(
                    hit,
                    label=hit.label if "label" in include else None,
                    attributes=hit.attributes if "attributes" in include else {},
                )
                for hit in hits
            ]
            for hits in everything
        ]
        assert same(found, expected)
