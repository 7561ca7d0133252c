from __future__ import annotations

import threading
import time

import pytest

from retrieval.read_ahead import read_ahead


def test_results_come_in_order_whatever_takes_longest() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.02 if n % 3 == 0 else 0)
        return n * n

    assert [future.result() for _, future in read_ahead(slow_first, range(20), ahead=5)] == [
        n * n for n in range(20)
    ]


def test_an_error_belongs_to_its_item_alone() -> None:
    outcomes = [
        (item, type(future.exception())) for item, future in read_ahead(lambda n: 1 / n, [2, 0, 4], ahead=2)
    ]
    assert outcomes == [(2, type(None)), (0, ZeroDivisionError), (4, type(None))]


def test_no_more_than_the_bound_are_started_before_they_are_taken() -> None:
    started: list[int] = []
    results = read_ahead(started.append, range(100), ahead=4)
    next(results)
    time.sleep(0.05)
    assert len(started) <= 4
    results.close()  # type: ignore[attr-defined]  # it is a generator


def test_leaving_early_ends_the_threads() -> None:
    before = threading.active_count()
    for _ in read_ahead(lambda n: n, range(1000), ahead=8):
        break
    assert threading.active_count() == before


def test_nothing_in_gives_nothing_out() -> None:
    with pytest.raises(StopIteration):
        next(read_ahead(lambda n: n, [], ahead=3))
