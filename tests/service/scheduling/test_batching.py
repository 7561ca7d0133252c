"""Gathering images of many requests into batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.scheduling.batching import Batcher, Embedded
from service.scheduling.lines import Priority
from tests.service.scheduling.gated import GatedNetwork, grey

SEARCH, UPLOAD = Priority.SEARCH, Priority.UPLOAD


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    opened = Batcher(search_batch=4, upload_batch=2, delay=5)
    yield opened
    opened.close()


@pytest.fixture
def network(batcher: Batcher) -> Iterator[GatedNetwork]:
    """Busy with an image of level 0, so that what is submitted stands in line."""
    gated = GatedNetwork()
    batcher.submit(gated, [grey(0)], SEARCH)
    assert gated.begun.acquire(timeout=10)
    yield gated
    gated.open()


def submit(
    batcher: Batcher, network: GatedNetwork, *levels: int, to: Priority = SEARCH
) -> list[Future[Embedded]]:
    return [batcher.submit(network, [grey(level)], to) for level in levels]


def test_what_stands_in_line_goes_together_up_to_a_full_batch(
    batcher: Batcher, network: GatedNetwork
) -> None:
    jobs = submit(batcher, network, 1, 2, 3, 4, 5, 6)
    network.open()
    assert [float(job.result(10).vectors[0, 0]) for job in jobs] == [1, 2, 3, 4, 5, 6]
    assert network.batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert [job.result().batch for job in jobs] == [4, 4, 4, 4, 2, 2]


def test_a_search_waits_for_one_small_batch_of_uploads_at_the_most(
    batcher: Batcher, network: GatedNetwork
) -> None:
    submit(batcher, network, 1, 2, 3, 4, to=UPLOAD)
    network.let()
    assert network.begun.acquire(timeout=10)
    submit(batcher, network, 9)
    network.open()
    batcher.close()
    assert network.batches == [[0], [1, 2], [9], [3, 4]]


def test_images_of_one_request_stay_together(batcher: Batcher, network: GatedNetwork) -> None:
    pair = batcher.submit(network, [grey(1), grey(2), grey(3)], SEARCH)
    other = batcher.submit(network, [grey(4), grey(5)], SEARCH)
    network.open()
    np.testing.assert_array_equal(pair.result(10).vectors, [[1], [2], [3]])
    np.testing.assert_array_equal(other.result(10).vectors, [[4], [5]])
    assert network.batches == [[0], [1, 2, 3], [4, 5]]


def test_a_request_larger_than_a_batch_is_a_batch_of_its_own(batcher: Batcher, network: GatedNetwork) -> None:
    large = batcher.submit(network, [grey(level) for level in range(1, 8)], UPLOAD)
    network.open()
    assert large.result(10).vectors.shape == (7, 1)
    assert network.batches[1:] == [[1, 2, 3, 4, 5, 6, 7]]


def test_two_networks_never_share_a_batch(batcher: Batcher, network: GatedNetwork) -> None:
    other = GatedNetwork()
    other.open()
    jobs = [
        batcher.submit(each, [grey(level)], SEARCH)
        for level, each in [(1, network), (2, other), (3, network)]
    ]
    network.open()
    assert [float(job.result(10).vectors[0, 0]) for job in jobs] == [1, 2, 3]
    assert network.batches == [[0], [1], [3]]
    assert other.batches == [[2]]


def test_who_has_left_is_not_embedded(batcher: Batcher, network: GatedNetwork) -> None:
    jobs = submit(batcher, network, 1, 2, 3)
    assert jobs[1].cancel()
    network.open()
    assert jobs[2].result(10).batch == 2
    assert network.batches == [[0], [1, 3]]


def test_a_failing_network_is_told_to_all_of_its_batch_and_goes_on(
    batcher: Batcher, network: GatedNetwork
) -> None:
    network.failure = MemoryError("the batch")
    jobs = submit(batcher, network, 1, 2)
    network.open()
    for job in jobs:
        with pytest.raises(MemoryError, match="the batch"):
            job.result(10)
    network.failure = None
    (after,) = submit(batcher, network, 3)
    assert after.result(10).vectors[0, 0] == 3


def test_a_client_that_is_alone_does_not_wait() -> None:
    batcher, network = Batcher(search_batch=4, upload_batch=2, delay=60), GatedNetwork()
    network.open()
    # The delay is a minute: this would run into the timeout.
    assert batcher.submit(network, [grey(1)], SEARCH).result(10).batch == 1
    with batcher.coming(UPLOAD):
        assert batcher.submit(network, [grey(2)], SEARCH).result(10).batch == 1
    batcher.close()


def test_a_free_network_waits_for_what_is_being_decoded() -> None:
    batcher, network = Batcher(search_batch=4, upload_batch=2, delay=60), GatedNetwork()
    network.open()
    with batcher.coming(SEARCH):
        first = batcher.submit(network, [grey(1)], SEARCH)
        time.sleep(0.05)
        assert not first.done()
        with batcher.coming(SEARCH):
            pass
    second = batcher.submit(network, [grey(2)], SEARCH)
    assert first.result(10).batch == second.result(10).batch == 2
    batcher.close()


def test_a_full_batch_waits_for_nobody_and_a_delay_ends() -> None:
    batcher, network = Batcher(search_batch=2, upload_batch=2, delay=0.05), GatedNetwork()
    network.open()
    with batcher.coming(SEARCH):
        lone = batcher.submit(network, [grey(1)], SEARCH).result(10)
    assert lone.wait_ms >= 49
    batcher.close()
    batcher = Batcher(search_batch=2, upload_batch=2, delay=60)
    with batcher.coming(SEARCH):
        jobs = [batcher.submit(network, [grey(level)], SEARCH) for level in (1, 2)]
        assert [job.result(10).batch for job in jobs] == [2, 2]
    batcher.close()


def test_closing_embeds_what_was_accepted(batcher: Batcher, network: GatedNetwork) -> None:
    jobs = submit(batcher, network, 1, 2) + submit(batcher, network, 3, to=UPLOAD)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    network.open()
    closing.join(10)
    assert [float(job.result(0).vectors[0, 0]) for job in jobs] == [1, 2, 3]
    with pytest.raises(RuntimeError, match="shutdown"):
        submit(batcher, network, 4)


def test_the_time_of_an_image_is_remembered(batcher: Batcher, network: GatedNetwork) -> None:
    assert batcher.seconds_an_image == 0
    time.sleep(0.05)
    network.open()
    (job,) = submit(batcher, network, 1)
    job.result(10)
    assert batcher.seconds_an_image >= 0.03


@settings(max_examples=30, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from([SEARCH, UPLOAD]), st.integers(1, 5), st.booleans()), max_size=20
    ),
    search_batch=st.integers(1, 6),
    upload_batch=st.integers(1, 6),
)
def test_everyone_gets_their_own_vectors_whatever_the_batches(
    requests: list[tuple[Priority, int, bool]], search_batch: int, upload_batch: int
) -> None:
    batcher, network = Batcher(search_batch=search_batch, upload_batch=upload_batch, delay=0), GatedNetwork()
    level, jobs = 0, []
    for priority, images, leaves in requests:
        levels = [level + i for i in range(images)]
        level += images
        jobs.append((levels, leaves, batcher.submit(network, [grey(each) for each in levels], priority)))
        if leaves:
            jobs[-1][2].cancel()
    network.open()
    batcher.close()
    for levels, leaves, job in jobs:
        if leaves and job.cancelled():
            continue
        np.testing.assert_array_equal(job.result(0).vectors[:, 0], levels)
    for batch in network.batches:
        assert len(batch) <= max(search_batch, upload_batch, 5)
