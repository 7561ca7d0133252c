"""One request straight into an ASGI application, whose body and whose reader are as slow as the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Scope


@dataclass
class Answer:
    """What came back. headers: names in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: ASGIApp,
    method: str = "GET",
    path: str = "/v1/stats",
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: AsyncIterator[bytes] | None = None,
    slow_reader: bool = False,
) -> Answer:
    """Ask, and read the answer to its end. body: chunks; it ends when they do. slow_reader: never takes the body."""
    answer = Answer()
    ended = False

    async def receive() -> Message:
        nonlocal ended
        if body is not None:
            async for chunk in body:
                return {"type": "http.request", "body": chunk, "more_body": True}
        if not ended:
            ended = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            if slow_reader:
                await asyncio.Event().wait()
            answer.body += message.get("body", b"")

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 1234),
        "server": ("localhost", 8000),
    }
    await app(scope, receive, send)
    return answer
