"""Where the index may miss something, and where Milvus returns too little."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexes.collection import Hit
from indexes.filter_parsing import parse_filter
from indexes.milvus import index_choice, scan
from indexes.milvus.index_choice import IndexChoice, IndexKind
from indexes.milvus_collection import MilvusCollection
from tests.indexes.milvus_lite import create_milvus, needs_milvus_lite
from tests.indexes.unit_vectors import items, unit_vectors

pytestmark = needs_milvus_lite
D = 8
STORED = items(700, D)
QUERIES = unit_vectors(3, D, seed=4)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusCollection]:
    """With an index that misses a lot: a graph of two edges a node."""
    folder = tmp_path_factory.mktemp("milvus")
    build = {"M": 2, "efConstruction": 4}
    with create_milvus(folder, embedding_size=D, index="HNSW", build=build, search={"ef": 4}) as collection:
        collection.upsert(STORED)
        collection.optimise()
        yield collection


def ranked(condition: dict[str, object], query: int, k: int) -> list[str]:
    filter = parse_filter(condition)
    passing = [item for item in STORED if filter.matches(item.id, item.label, item.attributes)]
    best = sorted(passing, key=lambda item: -float(item.vector @ QUERIES[query]))
    return [item.id for item in best[:k]]


def ids(hits: list[list[Hit]]) -> list[list[str]]:
    return [[hit.id for hit in each] for each in hits]


def test_a_filtered_search_is_exact_beside_an_index_that_is_not(collection: MilvusCollection) -> None:
    condition: dict[str, object] = {"label": {"in": ["label 1", "label 3"]}}
    found = collection.search(QUERIES, 40, parse_filter(condition))
    assert ids(found) == [ranked(condition, query, 40) for query in range(3)]
    assert [hit.score for hit in found[0]] == sorted((hit.score for hit in found[0]), reverse=True)


def test_what_the_index_misses_is_measured(collection: MilvusCollection) -> None:
    stats = collection.stats()
    assert (stats.index_kind, stats.index_on_gpu) == ("HNSW", False)
    found = collection.search(QUERIES, 10)
    hit = np.mean([len(set(got) & set(ranked({}, query, 10))) / 10 for query, got in enumerate(ids(found))])
    # On other queries than it was measured with, so roughly.
    assert abs(stats.index_recall[10] - hit) < 0.35


def test_more_neighbours_than_milvus_returns(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(index_choice.KINDS, "HNSW", IndexKind(width="ef", neighbours=50))
    # Several pages, so that what is held of the first has to stay.
    monkeypatch.setattr(scan, "_MOST_ROWS", 64)
    for k in (51, 200, 10**9):
        found = collection.search(QUERIES, k)
        assert ids(found) == [ranked({}, query, k) for query in range(3)]
        assert found[0][0].label is not None
        assert found[0][0].attributes


def test_pages_and_samples_over_several_requests(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_MOST_ROWS", 64)
    assert [item.id for item in collection.page(limit=1000)] == sorted(item.id for item in STORED)
    assert len(collection.page(limit=65)) == 65
    vectors, labels, _ = collection.labelled()
    assert len(labels) == len(vectors) == 700
    np.testing.assert_array_equal(collection.sample(7), [STORED[i].vector for i in range(0, 700, 100)])


def test_a_sample_of_many_is_drawn_by_lot(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexes.milvus.reading.SAMPLED_AMONG", 70)
    known = {item.vector.tobytes() for item in STORED}
    sample = collection.sample(20)
    assert 10 <= len(sample) <= 20
    assert {vector.tobytes() for vector in sample} <= known


def test_a_search_is_as_wide_as_what_it_has_to_find() -> None:
    choice = IndexChoice("HNSW", {}, {"ef": 20})
    assert choice.search_parameters(10) == {"ef": 20}
    assert choice.search_parameters(100) == {"ef": 100}
    assert IndexChoice("GPU_CAGRA", {}, {}).search_parameters(10) == {"itopk_size": 64}
    assert IndexChoice("IVF_FLAT", {}, {"nprobe": 8}).search_parameters(100) == {"nprobe": 8}
    assert IndexChoice("AUTOINDEX", {}, {}).search_parameters(100) == {}


@pytest.mark.parametrize("index", ["AUTOINDEX", "FLAT", "IVF_FLAT"])
def test_other_indexes(tmp_path: Path, index: str) -> None:
    build = {"nlist": 8} if index == "IVF_FLAT" else {}
    search = {"nprobe": 8} if index == "IVF_FLAT" else {}
    with create_milvus(tmp_path, embedding_size=D, index=index, build=build, search=search) as collection:
        collection.upsert(STORED)
        collection.optimise()
        assert collection.stats().index_recall[10] > 0.95
        assert ids(collection.search(QUERIES, 5))[0][0] == ranked({}, 0, 1)[0]
        report = collection.check()
        assert report.ok
        assert (report.items, report.indexed) == (700, 700)
