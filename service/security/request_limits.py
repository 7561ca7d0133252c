"""How many requests are in work at once, and for how long each may be.

The places bound what requests hold before any queue counts them: bodies on their way, and the files they are kept in.
The time covers a request from its head to the last byte of its answer, so that neither a client that sends or reads
a byte a minute nor work that hangs keeps a place.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import OverloadedError, ProblemError, problem_response
from service.security.access import is_public
from service.security.body_limit import many_images
from service.settings import Settings

METRICS = "/metrics"
"""It takes no place: who watches must see an overload, not be a part of it. Its time is that of any other."""


class RequestLimits:
    """ASGI middleware: answers 503 where all places are taken or the time is over, 408 where the body did not come."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._places = settings.max_requests
        self._seconds = settings.request_seconds
        self._many_images_seconds = settings.bulk_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http" or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["path"] == METRICS:
            await self._in_time(scope, receive, send)
            return
        if self._places == 0:
            error = OverloadedError()
            await problem_response(error.problem, error.headers)(scope, receive, send)
            return
        self._places -= 1
        try:
            await self._in_time(scope, receive, send)
        finally:
            self._places += 1

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = not _has_body(scope)
        started = False

        async def noted_receive() -> Message:
            nonlocal arrived
            message = await receive()
            arrived = arrived or not message.get("more_body", False)
            return message

        async def noted_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        seconds = self._many_images_seconds if many_images(scope) else self._seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                await self._app(scope, noted_receive, noted_send)
        except TimeoutError:
            if started or not limit.expired():
                raise
            error = _late(seconds) if arrived else _slow(seconds)
            await problem_response(error.problem, error.headers)(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _late(seconds: float) -> ProblemError:
    detail = (
        f"The answer was not ready within {seconds:g} s. A write may have been stored: ask, or send it again."
    )
    return ProblemError(503, "time-limit", "The service took too long", detail)


def _slow(seconds: float) -> ProblemError:
    detail = f"The request was not complete within {seconds:g} s; send less at once."
    # The rest of the body would be taken for the next request.
    return ProblemError(
        408, "slow-request", "The request came too slowly", detail, headers={"Connection": "close"}
    )
