"""One line in the log, one count in the metrics and one id for each request; and the last resort of its failures."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.observability import stages
from service.observability.telemetry import Telemetry
from service.problems import problem_of, problem_response
from service.security.access import PUBLIC_FILES

access_logger = logging.getLogger("service.access")
logger = logging.getLogger(__name__)

HEADER = "X-Request-Id"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLIENT_LEFT = 499
"""The status in log and metrics of a request that had no answer because nobody was there for it any more."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that the current task works for."""


class RequestLog:
    """ASGI middleware: names a request, measures it, and answers 500 to what nobody else has caught.

    The name is the client's own X-Request-Id, if that is one word of up to 64 letters, digits, dots, dashes and
    underscores, and a random one otherwise; it goes back in the same header.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        id = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        # One dictionary for all the layers, also for those that go on with a copy of the scope.
        scope.setdefault("state", {})
        started = time.perf_counter()
        status: int | None = None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = id
            await send(message)

        token = request_id.set(id)
        self._telemetry.in_flight.inc()
        with stages.recording() as times:
            try:
                await self._app(scope, receive, noted)
            except Exception as error:
                # The process must survive a request, and the answer must be made here, below the safe headers.
                logger.exception("%s %s failed", scope["method"], _path(scope))
                if status is None:
                    await problem_response(problem_of(error))(scope, receive, noted)
            finally:
                stages.end(times)
                self._telemetry.in_flight.dec()
                self._note(scope, status or CLIENT_LEFT, time.perf_counter() - started, times)
                request_id.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float, times: stages.StageTimes) -> None:
        self._telemetry.answered(scope["method"], _route(scope), status, seconds, times)
        client = scope.get("client")
        fields: dict[str, object] = {
            "client": client[0] if client else None,
            "key": scope["state"].get("key"),
            "method": scope["method"],
            "path": _path(scope),
            "status": status,
            "ms": round(1000 * seconds, 1),
            **times.totals_ms(),
        }
        access_logger.info("%s %s %s", scope["method"], _path(scope), status, extra={"fields": fields})


async def note_route(request: Request) -> None:
    """A dependency of every route: remembers which one was taken, as it is declared."""
    request.state.route = request.scope["route"].path


def _route(scope: Scope) -> str:
    route = scope["state"].get("route")
    if route is None:
        # Anybody can ask for any path; as labels of a metric they would fill the memory.
        route = PUBLIC_FILES if scope["path"].startswith(PUBLIC_FILES) else "none"
    return str(route).replace(":path}", "}")


def _path(scope: Scope) -> str:
    """As it was sent, percent-encoded, so that it stays on its line; without the query."""
    raw = scope.get("raw_path")
    return str(scope["path"] if raw is None else raw.decode("latin-1"))
