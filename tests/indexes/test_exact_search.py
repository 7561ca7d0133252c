import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.exact_search import NO_KEY, exact_search
from tests.indexes.unit_vectors import unit_vectors


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_equals_a_sort_of_all_products(batch: int) -> None:
    vectors, queries = unit_vectors(50, 8), unit_vectors(5, 8, seed=1)
    keys = np.random.default_rng(2).permutation(1000)[:50]
    scores, found = exact_search(
        queries, ((keys[i : i + batch], vectors[i : i + batch]) for i in range(0, 50, batch)), 10
    )
    for i, query in enumerate(queries):
        products = [float(np.dot(query, vector)) for vector in vectors]
        ranked = sorted(zip(products, keys.tolist(), strict=True), reverse=True)
        assert found[i].tolist() == [key for _, key in ranked[:10]]
        np.testing.assert_allclose(scores[i], [score for score, _ in ranked[:10]], atol=1e-6)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 14), st.integers(1, 5))
def test_equal_scores_go_by_key_however_the_batches_are_cut(values: list[int], k: int, batch: int) -> None:
    vectors = np.array(values, dtype=np.float32)[:, None]
    keys = np.arange(100, 100 + len(values))[::-1].copy()
    parts = [(keys[i : i + batch], vectors[i : i + batch]) for i in range(0, len(values), batch)]
    scores, found = exact_search(np.ones((1, 1), dtype=np.float32), parts, k)
    ranked = sorted(zip(values, keys.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))[:k]
    missing = k - len(ranked)
    assert found[0].tolist() == [key for _, key in ranked] + [NO_KEY] * missing
    assert scores[0].tolist() == [value for value, _ in ranked] + [-np.inf] * missing


def test_nothing_to_search() -> None:
    scores, keys = exact_search(unit_vectors(2, 4), [], 3)
    assert keys.tolist() == [[NO_KEY] * 3] * 2
    assert np.isneginf(scores).all()
