"""How many requests at once, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from service.security.request_limits import RequestLimits
from service.settings import Settings
from tests.service.asgi import Answer, ask

SECONDS = 0.2


async def reads_then_answers(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("done")(scope, receive, send)


async def never_answers(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(60)


async def drips() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0.02)


def limits(app: object, **settings: float) -> RequestLimits:
    chosen = Settings.model_validate({"request_seconds": SECONDS, "bulk_seconds": 10.0, **settings})
    return RequestLimits(app, chosen)  # type: ignore[arg-type]  # any of the applications above


@pytest.mark.parametrize("path", ["/v1/stats", "/metrics"])
def test_work_that_hangs_is_answered_in_time(path: str) -> None:
    started = time.perf_counter()
    answer = asyncio.run(ask(limits(never_answers), path=path))
    assert SECONDS <= time.perf_counter() - started < 5
    assert (answer.status, answer.json()["type"]) == (503, "urn:hdhe:problem:time-limit")
    assert int(answer.headers["retry-after"]) > 0


def test_a_body_that_drips_is_answered_in_time_and_ends_the_connection() -> None:
    chunked = [("Transfer-Encoding", "chunked")]
    app = limits(reads_then_answers)
    answer = asyncio.run(ask(app, "POST", "/v1/search", headers=chunked, body=drips()))
    assert (answer.status, answer.json()["type"]) == (408, "urn:hdhe:problem:slow-request")
    assert answer.headers["connection"] == "close"


def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(ask(limits(reads_then_answers), slow_reader=True))


def test_many_images_have_longer() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(2 * SECONDS)
        await PlainTextResponse("done")(scope, receive, send)

    async def both() -> list[Answer]:
        app = limits(slow)
        return [await ask(app, "POST", path) for path in ("/v1/items", "/v1/search")]

    assert [answer.status for answer in asyncio.run(both())] == [200, 503]


def test_an_error_that_happens_to_be_a_timeout_is_not_taken_for_ours() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("a disk")

    with pytest.raises(TimeoutError, match="a disk"):
        asyncio.run(ask(limits(fails)))


def test_places_are_counted_and_given_back() -> None:
    async def scenario() -> None:
        leave = asyncio.Event()
        entered = 0

        async def waits(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal entered
            if scope["path"] not in ("/healthz", "/metrics"):
                entered += 1
                await leave.wait()
            await PlainTextResponse("done")(scope, receive, send)

        app = limits(waits, max_requests=2, request_seconds=30.0)
        inside = [asyncio.create_task(ask(app)) for _ in range(2)]
        while entered < 2:
            await asyncio.sleep(0)
        refused = await ask(app)
        assert (refused.status, refused.json()["type"]) == (503, "urn:hdhe:problem:overloaded")
        assert int(refused.headers["retry-after"]) > 0
        assert (await ask(app, path="/healthz")).status == 200
        assert (await ask(app, path="/metrics")).status == 200
        inside[0].cancel()
        leave.set()
        assert (await inside[1]).status == 200
        for _ in range(3):
            assert (await ask(app)).status == 200

    asyncio.run(scenario())


def test_places_come_back_from_those_that_were_late_or_failed() -> None:
    async def scenario() -> None:
        failing = True

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if failing:
                raise OSError("broken")
            await PlainTextResponse("done")(scope, receive, send)

        service = limits(app, max_requests=1)
        for _ in range(3):
            with pytest.raises(OSError, match="broken"):
                await ask(service)
        failing = False
        assert (await ask(service)).status == 200

    asyncio.run(scenario())
