"""How another process on this machine asks the one that has a collection open to look after it.

A socket named `control` in the collection's folder, which only the same user may use: whoever may write to it may also
write to the collection's files. One line of JSON each way: `{"task": NAME, "arguments": {...}}`, and `{"result": ...}`
or `{"error": "one line"}`. One task at a time. Where no socket can be made (a disk without them), all else works.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from indexes.errors import CollectionError, UserError
from indexes.index_building import StoppedError

logger = logging.getLogger(__name__)

SOCKET_NAME = "control"
Task = Callable[..., Any]
"""Takes the arguments by name and returns what JSON can say."""

_MOST_PATH = 100
"""Bytes of a path that every system takes as the address of a socket."""

_MOST_LINE = 1 << 20
_SECONDS_TO_ASK = 5


class NobodyThereError(CollectionError):
    """No process answers for this collection."""


class ControlSocket:
    """Answers in a thread from construction to `close`. The caller holds the collection's lock."""

    def __init__(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        self._path = folder / SOCKET_NAME
        self._tasks = dict(tasks)
        self._closed = False
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.socket(socket.AF_UNIX)
            # One that is there was left behind by a process that was killed: the lock is ours now.
            self._path.unlink(missing_ok=True)
            os.fchmod(self._socket.fileno(), 0o600)
            with _address(folder) as address:
                self._socket.bind(address)
            self._socket.listen()
        except OSError as error:
            logger.warning(
                "%s: cannot be made (%s); this collection cannot be looked after while it is served",
                self._path,
                error.strerror,
            )
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            return
        Thread(target=self._answer_all, args=(self._socket,), name="control", daemon=True).start()

    def close(self) -> None:
        """Take no more tasks; one that is under way may go on. Closing twice is harmless."""
        self._closed = True
        if self._socket is not None:
            self._path.unlink(missing_ok=True)
            # Wakes the thread that waits for a connection, which closing alone does not.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    def _answer_all(self, listening: socket.socket) -> None:
        while not self._closed:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            # Whoever asked may have left, or never say what they want.
            with connection, suppress(OSError):
                connection.settimeout(_SECONDS_TO_ASK)
                answer = self._answer(_line(connection))
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            task = self._tasks.get(asked["task"])
            if task is None:
                return {"error": f"the process that has it open knows no task {asked['task']!r}; upgrade it"}
            return {"result": task(**asked["arguments"])}
        except UserError as error:
            return {"error": str(error)}
        except StoppedError:
            return {"error": "the process that has it open is stopping; try again"}
        except Exception:
            logger.exception("%s: a task failed", self._path)
            return {"error": "the process that has it open failed at it; its log has the cause"}


def ask(folder: Path, task: str, **arguments: Any) -> Any:
    """Let the process that has the collection open do a task; returns its result, however long that takes.

    Raises NobodyThereError if there is none that answers, CollectionError with its one line if it refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            with _address(folder) as address:
                connection.connect(address)
            connection.sendall(json.dumps({"task": task, "arguments": arguments}).encode() + b"\n")
            line = _line(connection)
    except OSError as error:
        raise NobodyThereError(f"{folder}: no process answers for it ({error.strerror})") from None
    if not line:
        raise CollectionError(f"{folder}: the process that has it open ended before it was done; try again")
    answer = json.loads(line)
    if "error" in answer:
        raise CollectionError(answer["error"])
    return answer["result"]


def _line(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        return file.readline(_MOST_LINE)


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's address, by way of an open folder where its path is too long for one."""
    path = str(folder.absolute() / SOCKET_NAME)
    if len(os.fsencode(path)) <= _MOST_PATH or not Path("/proc/self/fd").is_dir():
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)
