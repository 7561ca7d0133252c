"""Token buckets against a clock that is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.security.keys import Key
from service.security.rate_limit import RateLimits, TokenBucket, charge_images, enter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(rate=2, burst=3, clock=clock)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now = 0.5
    assert bucket.take() == 0
    assert bucket.take() == 0.5
    clock.now = 1000
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_request_of_many_images_is_let_in_and_paid_for_afterwards() -> None:
    clock = Clock()
    bucket = TokenBucket(rate=10, burst=10, clock=clock)
    scope: dict[str, object] = {}
    enter(scope, bucket)
    assert bucket.take() == 0
    charge_images(scope, 100)  # the first is paid: 10 - 100 = -90
    assert bucket.take() == pytest.approx(9.1)
    clock.now = 9.0
    assert bucket.take() == pytest.approx(0.1)
    clock.now = 9.11
    assert bucket.take() == 0


def test_where_no_key_was_needed_nothing_is_charged() -> None:
    charge_images({}, 5)
    charge_images({"state": {}}, 5)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), min_size=1, max_size=60))
def test_never_more_than_the_burst_and_the_rate_allow(arrivals: list[tuple[float, int]]) -> None:
    rate, burst, most = 4.0, 6, 5
    clock = Clock()
    bucket = TokenBucket(rate, burst, clock)
    passed: list[tuple[float, int]] = []
    for pause, images in arrivals:
        clock.now += pause
        if bucket.take() == 0:
            bucket.owe(images - 1)
            passed.append((clock.now, images))
    # In every window: what the bucket can hold, what flows in, and the debt of one last request.
    for start, (begin, _) in enumerate(passed):
        total = 0
        for now, images in passed[start:]:
            total += images
            assert total <= burst + rate * (now - begin) + most - 1 + 1e-6


def test_each_key_has_its_own_bucket_and_perhaps_its_own_limits() -> None:
    limits = RateLimits(rate=1, burst=1, clock=Clock())
    made = datetime.now(UTC)
    shop = Key(id="0" * 12, name="shop", scope="read", sha256="0" * 64, created=made)
    importer = Key(id="1" * 12, name="i", scope="write", sha256="0" * 64, created=made, rate=5, burst=2)
    assert limits.bucket(shop) is limits.bucket(shop)
    assert limits.bucket(shop).take() == 0
    assert limits.bucket(shop).take() == 1
    assert [limits.bucket(importer).take() for _ in range(3)] == [0, 0, 0.2]
