import numpy as np
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY, exact_search
from indexes.index_recall import TrueNeighbours
from tests.indexes.unit_vectors import unit_vectors

KEYS = np.arange(200, dtype=np.int64)
VECTORS = unit_vectors(200, 8)
BATCHES = [(KEYS[:120], VECTORS[:120]), (KEYS[120:], VECTORS[120:])]
Found = tuple[NDArray[np.float32], NDArray[np.int64]]


def search(queries: NDArray[np.float32], k: int) -> Found:
    return exact_search(queries, BATCHES, k)


def test_an_exact_search_misses_nothing() -> None:
    assert TrueNeighbours(KEYS[:30], VECTORS[:30], BATCHES).recall(search) == 1


def test_counts_what_is_missed() -> None:
    def forgets_the_third(queries: NDArray[np.float32], k: int) -> Found:
        # Of the ten neighbours beside the query itself, one is replaced by the eleventh.
        scores, keys = search(queries, k + 1)
        return np.delete(scores, 3, axis=1), np.delete(keys, 3, axis=1)

    assert TrueNeighbours(KEYS[:30], VECTORS[:30], BATCHES).recall(forgets_the_third) == 0.9


def test_finding_only_oneself_is_worth_nothing() -> None:
    def only_itself(queries: NDArray[np.float32], k: int) -> Found:
        scores, keys = search(queries, k)
        keys[:, 1:], scores[:, 1:] = NO_KEY, -np.inf
        return scores, keys

    assert TrueNeighbours(KEYS[:30], VECTORS[:30], BATCHES).recall(only_itself) == 0


def test_equal_vectors_may_stand_for_each_other() -> None:
    vectors = np.repeat(unit_vectors(1, 8), 40, axis=0)
    keys = np.arange(40, dtype=np.int64)

    def other_end(queries: NDArray[np.float32], k: int) -> Found:
        return queries @ vectors[-k:].T, np.broadcast_to(keys[-k:], (len(queries), k))

    assert TrueNeighbours(keys[:5], vectors[:5], [(keys, vectors)]).recall(other_end) == 1


def test_with_fewer_than_k_neighbours_those_count() -> None:
    few = [(KEYS[:4], VECTORS[:4])]
    assert TrueNeighbours(KEYS[:4], VECTORS[:4], few).recall(lambda q, k: exact_search(q, few, k)) == 1
    alone = [(KEYS[:1], VECTORS[:1])]
    assert TrueNeighbours(KEYS[:1], VECTORS[:1], alone).recall(lambda q, k: exact_search(q, alone, k)) == 1
