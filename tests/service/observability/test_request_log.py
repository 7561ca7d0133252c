"""One id, one line and one count for each request; failures answered, and named in the log alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from retrieval.gallery import Gallery
from service.app import create_app
from service.observability import stages
from service.observability.request_log import RequestLog, request_id
from service.observability.telemetry import Telemetry
from service.security.key_file import KeyFile, create_key
from tests.service.asgi import ask

Picture = Callable[..., bytes]


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "service.access"]


def fields(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = record.fields  # type: ignore[attr-defined]  # given by `extra`
    return found


def test_every_answer_has_an_id_the_clients_own_or_a_new_one(client: TestClient) -> None:
    for path in ("/healthz", "/", "/nothing", "/v1/items/%00"):
        first, second = (client.get(path).headers["x-request-id"] for _ in range(2))
        assert len(first) == 32
        assert first != second
    assert (
        client.get("/healthz", headers={"X-Request-Id": "order-7.b_c"}).headers["x-request-id"]
        == "order-7.b_c"
    )


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", 'a"b', "é", "a;b"])
def test_an_id_that_could_spoil_the_log_is_replaced(client: TestClient, given: str) -> None:
    answer = client.get("/healthz", headers={b"X-Request-Id": given.encode("latin-1")})
    assert len(answer.headers["x-request-id"]) == 32


def test_a_request_leaves_one_line_with_its_stages(
    client: TestClient, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.post("/v1/search", files={"image": picture("red")}, headers={"X-Request-Id": "mine"})
    (line,) = lines(caplog)
    told = fields(line)
    assert (told["method"], told["path"], told["status"]) == ("POST", "/v1/search", 200)
    spent = [told[stage] for stage in stages.STAGES]
    assert all(isinstance(each, float) and each >= 0 for each in spent)
    assert sum(each for each in spent if isinstance(each, float)) <= float(str(told["ms"])) + 1


def test_the_line_names_the_key_and_not_its_secret(
    gallery: Gallery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service")
    key, token = create_key(tmp_path / "keys.json", "shop", "read")
    with TestClient(create_app(gallery, keys=KeyFile(tmp_path / "keys.json"))) as client:
        client.get("/v1/stats", headers={"Authorization": f"Bearer {token}"})
        client.get("/v1/stats?token=secret", headers={"Authorization": f"Bearer {token}x"})
    known, unknown = lines(caplog)
    assert (fields(known)["key"], fields(unknown)["key"]) == (key.id, None)
    assert token.split("_", 2)[2] not in caplog.text
    assert "secret" not in caplog.text


def test_a_path_stays_on_its_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client.get("/v1/items/a%0Ab%1b[31m")
    (line,) = lines(caplog)
    assert str(fields(line)["path"]).startswith("/v1/items/a%0Ab%1b")


def test_what_nobody_caught_is_answered_and_logged_under_the_id(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(request_id.get())
        raise RuntimeError("/secret/place is broken")

    answer = asyncio.run(ask(RequestLog(fails, Telemetry()), headers=[("X-Request-Id", "seven")]))
    assert (answer.status, answer.json()["type"]) == (500, "urn:hdhe:problem:internal")
    assert answer.headers["x-request-id"] == "seven"
    assert b"secret" not in answer.body
    assert seen == ["seven"]
    assert "/secret/place is broken" in caplog.text
    assert request_id.get() is None


def test_a_client_that_left_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    async def leave() -> None:
        asking = asyncio.create_task(ask(RequestLog(hangs, Telemetry())))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(leave())
    (line,) = lines(caplog)
    assert fields(line)["status"] == 499


def test_requests_at_once_keep_their_stages_apart(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        number = int(scope["path"].removeprefix("/"))
        for _ in range(number):
            await asyncio.create_task(_note(float(number)))
            await asyncio.sleep(0)
        await PlainTextResponse("done")(scope, receive, send)

    async def _note(seconds: float) -> None:
        stages.record("embed", seconds)

    async def all_at_once() -> None:
        app = RequestLog(works, Telemetry())
        await asyncio.gather(*(ask(app, path=f"/{number}") for number in range(1, 6)))

    asyncio.run(all_at_once())
    told = {fields(line)["path"]: fields(line)["embed"] for line in lines(caplog)}
    assert told == {f"/{number}": 1000.0 * number * number for number in range(1, 6)}
    stages.record("embed", 1.0)  # outside of a request: nothing happens
