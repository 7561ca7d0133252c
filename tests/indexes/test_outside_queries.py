"""Queries as from outside: an item is kept back with what is alike to it, and then searches must work for it."""

from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection

import numpy as np
import pytest
from numpy.typing import NDArray

from indexes import index_building
from indexes.faiss_index import FaissIndex
from indexes.index_building import recall_at
from indexes.index_kinds import KINDS
from indexes.index_recall import NOBODY, TrueNeighbours
from indexes.item_rows import ItemRows
from indexes.local_collection import LocalCollection
from indexes.outside_queries import group_size, query_count, with_groups
from indexes.search_width import SearchWidth
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

KEYS, VECTORS = np.arange(5, 505, dtype=np.int64), unit_vectors(500, 8)
BATCHES = [(KEYS[:300], VECTORS[:300]), (KEYS[300:], VECTORS[300:])]


def test_a_group_is_the_query_and_the_nearest_to_it() -> None:
    asked = np.array([7, 250, 400])
    nearest = np.argsort(-(VECTORS[asked].astype(np.float64) @ VECTORS.T.astype(np.float64)), axis=1)[:, :5]
    assert (nearest[:, 0] == asked).all()
    kept = with_groups(KEYS[asked], VECTORS[asked], BATCHES, 4)
    assert kept.tolist() == sorted({int(KEYS[at]) for at in nearest.ravel()})


def test_a_query_among_more_equals_than_its_group_is_kept_back_too() -> None:
    same = np.repeat(VECTORS[:1], 40, axis=0)
    kept = with_groups(np.array([39]), same[39:], [(np.arange(40), same)], 4)
    assert kept.tolist() == [0, 1, 2, 3, 4, 39]


def test_with_fewer_items_than_a_group_all_are_kept_back() -> None:
    assert with_groups(KEYS[:1], VECTORS[:1], [(KEYS[:3], VECTORS[:3])], 16).tolist() == KEYS[:3].tolist()


@pytest.mark.parametrize(
    ("items", "group", "queries"),
    [
        (0, 16, 0),
        (67, 16, 0),
        (68, 16, 1),
        (27_200, 16, 400),
        (65_536, 16, 400),
        (1_000_000, 244, 400),
        (10**9, 256, 400),
    ],
)
def test_groups_grow_with_the_collection_and_a_quarter_is_kept_back_at_most(
    items: int, group: int, queries: int
) -> None:
    assert group_size(items) == group
    assert query_count(items) == queries
    assert 4 * queries * (1 + group) <= items


def test_what_was_kept_back_while_an_index_was_tuned_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def watched(
        truth: TrueNeighbours, rows: ItemRows, connection: Connection, index: FaissIndex
    ) -> Callable[[SearchWidth], float]:
        held.append(len(index))
        return recall_at(truth, rows, connection, index)

    monkeypatch.setattr(index_building, "recall_at", watched)
    with LocalCollection.create(
        tmp_path, embedding_size=16, model_fingerprint=FINGERPRINT, index="hnsw"
    ) as collection:
        collection.upsert(items(1000, 16))
        collection.rebuild()
        assert 1000 - 14 * 17 <= min(held) <= 1000 - 17
        assert len(collection._index) == 1000
        assert collection.check().ok


def test_a_search_too_narrow_for_what_is_unlike_all_suffices_for_items_kept_back_alone() -> None:
    centres, group = unit_vectors(100, 16, seed=3), 20
    vectors = np.repeat(centres, group, axis=0) + 0.02 * unit_vectors(100 * group, 16, seed=4)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = np.arange(len(vectors))
    asked = keys[::100]

    def recall(kept: NDArray[np.int64]) -> float:
        """In the nearest list alone, of items that are not kept back."""
        base = [(np.delete(keys, kept), np.delete(vectors, kept, axis=0))]
        index = FaissIndex.build(KINDS["ivf"], 16, vectors, base, items=len(vectors))
        truth = TrueNeighbours(np.full(len(asked), NOBODY), vectors[asked], base)
        return truth.recall(lambda queries, k: index.search(queries, k, SearchWidth(1)))

    assert recall(asked) > 0.99
    assert recall(with_groups(asked, vectors[asked], [(keys, vectors)], group - 1)) < 0.9
