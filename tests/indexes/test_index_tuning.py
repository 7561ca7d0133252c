"""The narrowest width is found, on recalls that are made up and therefore known."""

import pytest

from indexes.index_kinds import KINDS
from indexes.index_tuning import MOST_VISITED, tuned, widened
from indexes.search_width import SearchWidth


def test_the_narrowest_that_reaches_the_goal_is_found_within_an_eighth() -> None:
    asked: list[SearchWidth] = []

    def recall(width: SearchWidth) -> float:
        asked.append(width)
        return min(1.0, 0.9 + 0.001 * width.visited)

    # 0.98 and three quarters of what may be missed: 0.995 is reached at 95.
    width, reached = tuned(recall, KINDS["hnsw"], 0.98)
    assert width.depth == 1
    assert 95 <= width.visited <= 95 + 95 // 8
    assert reached == pytest.approx(0.9 + 0.001 * width.visited)
    assert len(asked) < 12


def test_where_codes_lose_too_much_more_candidates_are_reranked() -> None:
    def recall(width: SearchWidth) -> float:
        return min(0.9 + 0.03 * width.depth, 0.5 + 0.02 * width.visited)

    width, reached = tuned(recall, KINDS["ivf-sq8"], 0.97)
    assert width.depth == 4
    assert reached >= 0.97
    assert 24 <= width.visited <= 27


def test_a_scan_has_only_candidates_to_tune_and_flat_nothing() -> None:
    assert tuned(lambda width: 0.2 * width.depth, KINDS["sq8"], 0.1) == (SearchWidth(0, 4), 0.8)
    assert tuned(lambda _: 1.0, KINDS["flat"], 0.99) == (SearchWidth(), 1.0)


def test_a_goal_out_of_reach_gives_the_best_there_is() -> None:
    width, reached = tuned(lambda width: 0.5 + width.visited / 10_000, KINDS["hnsw"], 0.99)
    assert width.visited == MOST_VISITED
    assert reached < 0.99


def test_a_width_in_use_only_ever_grows() -> None:
    assert widened(lambda _: 1.0, SearchWidth(100, 2), 0.99) == (SearchWidth(100, 2), 1.0)
    assert widened(lambda width: width.visited / 400, SearchWidth(100, 2), 0.99) == (SearchWidth(400, 2), 1.0)
    assert widened(lambda _: 0.1, SearchWidth(0, 1), 0.99) == (SearchWidth(0, 1), 0.1), "a scan cannot"
