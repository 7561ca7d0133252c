"""Places for images."""

from __future__ import annotations

import pytest

from service.problems import OverloadedError
from service.scheduling.lines import Priority
from service.scheduling.places import Places

SEARCH, UPLOAD = Priority.SEARCH, Priority.UPLOAD


def places(seconds: float = 0.0) -> Places:
    return Places(searches=3, uploads=2, seconds_an_image=lambda: seconds)


def test_who_finds_no_place_is_refused_and_a_place_given_back_is_free() -> None:
    under_way = places()
    with under_way.take(SEARCH, 2):
        with under_way.take(SEARCH):
            assert under_way.full(SEARCH)
            with pytest.raises(OverloadedError), under_way.take(SEARCH):
                pass
            assert under_way.taken == 3
        assert not under_way.full(SEARCH)
        with pytest.raises(OverloadedError), under_way.take(SEARCH, 2):
            pass
    assert under_way.taken == 0


def test_a_place_is_given_back_by_who_fails() -> None:
    under_way = places()
    with pytest.raises(ValueError, match="mine"), under_way.take(UPLOAD):
        raise ValueError("mine")
    assert under_way.taken == 0


def test_uploads_take_no_place_of_a_search() -> None:
    under_way = places()
    with under_way.take(UPLOAD, 2), under_way.take(SEARCH, 3):
        assert under_way.taken == 5


def test_a_large_request_is_accepted_where_nobody_is_before_it() -> None:
    under_way = places()
    with under_way.take(UPLOAD, 50), pytest.raises(OverloadedError), under_way.take(UPLOAD):
        pass
    with under_way.take(UPLOAD), pytest.raises(OverloadedError), under_way.take(UPLOAD, 50):
        pass


@pytest.mark.parametrize(("seconds", "said"), [(0.0, "1"), (0.1, "1"), (0.5, "2"), (1.01, "4"), (1000, "60")])
def test_retry_after_is_how_long_the_line_takes(seconds: float, said: str) -> None:
    under_way = places(seconds)
    with under_way.take(SEARCH, 3):
        refusal = under_way.refusal()
    assert refusal.problem.status == 503
    assert refusal.headers == {"Retry-After": said}
