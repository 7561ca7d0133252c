"""Connections that send no head, half of one, or far too much of one, and that do not take their answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from service.security.connection_limits import ConnectionLimits

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


LARGE = 20 << 20


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """At /N, N bytes."""
    content = "done" if scope["path"] == "/" else "x" * int(scope["path"][1:])
    await PlainTextResponse(content)(scope, receive, send)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[uvicorn.Server]:
    monkeypatch.setattr("service.security.connection_limits.HEAD_SECONDS", 0.4)
    monkeypatch.setattr("service.security.connection_limits.READ_SECONDS", 1.0)
    config = uvicorn.Config(
        application,
        http=ConnectionLimits,
        h11_max_incomplete_event_size=4096,
        lifespan="off",
        log_level="critical",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Else the system's own buffers would hold a whole answer.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield server
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    (listening,) = server.servers
    number: int = listening.sockets[0].getsockname()[1]
    return number


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", REQUEST[:-2]])
def test_half_a_head_is_not_waited_for(port: int, sent: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(sent)
        started = time.perf_counter()
        assert connection.recv(100) == b""
        assert 0.3 < time.perf_counter() - started < 5


def test_a_dripping_head_gets_no_more_time(port: int) -> None:
    def drip() -> None:
        for byte in REQUEST * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with connect(port) as connection:
        started = time.perf_counter()
        with pytest.raises(ConnectionError):
            drip()
        assert time.perf_counter() - started < 5


def test_a_connection_that_is_used_stays(port: int) -> None:
    with connect(port) as connection:
        for _ in range(4):
            connection.sendall(REQUEST[:10])
            time.sleep(0.2)
            connection.sendall(REQUEST[10:])
            answer = b""
            while not answer.endswith(b"done"):
                answer += connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200")
        # And the next head has no longer than the first.
        connection.sendall(REQUEST[:10])
        assert connection.recv(100) == b""


def test_a_head_without_end_is_refused(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 5000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


# asyncio itself takes note of 64 KiB.
@pytest.mark.parametrize("size", [LARGE, 48 << 10])
@pytest.mark.parametrize("header", ["", "Connection: close\r\n"])
def test_an_answer_that_nobody_takes_is_not_kept(
    server: uvicorn.Server, port: int, header: str, size: int
) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(f"GET /{size} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert len(server.server_state.connections) == 1
        deadline = time.monotonic() + 4  # before uvicorn closes what is idle
        while server.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_answer_that_is_taken_slowly_arrives_whole(port: int) -> None:
    started = time.perf_counter()
    received, size = 0, 1 << 20
    with connect(port) as connection:
        connection.sendall(f"GET /{size} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for step in range(1, 11):
            # A tenth at a time, each in less time than a reader may rest.
            while received < step * size // 10:
                part = connection.recv(1 << 16)
                assert part
                received += len(part)
            time.sleep(0.15)
    assert time.perf_counter() - started > 1.4
