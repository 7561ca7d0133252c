"""Connections that send no head, half of one, or far too much of one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from service.security.head_limits import HeadLimits

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr("service.security.head_limits.HEAD_SECONDS", 0.4)
    config = uvicorn.Config(
        PlainTextResponse("done"),
        http=HeadLimits,
        h11_max_incomplete_event_size=4096,
        lifespan="off",
        log_level="critical",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


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
