"""Milvus Lite in this process: one server for each of its files, however many collections are open in it.

pymilvus would start the server itself, but answers whatever goes wrong with "Open local milvus failed", and stops it
only when the process ends. Here a second process is told that the file is taken, and the last one to close a
collection of a file closes the file, which brings its log to the disk.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from indexes.errors import CollectionError, CollectionLockedError, StorageError
from indexes.read_write_lock import ReadWriteLock

_MISSING = (
    "a Milvus Lite file needs Milvus Lite: run `pip install 'hdhe[milvus-lite]'`, and on Linux with x86-64 after that "
    "`pip install --no-deps milvus-lite` (docs/milvus.md says why)"
)


@dataclass
class LiteServer:
    """port: on 127.0.0.1. lock: a read beside a write, or beside the flush that a write may end in, can miss items."""

    port: int
    server: Any
    database: Any
    lock: ReadWriteLock = field(default_factory=ReadWriteLock)
    users: int = 1


_changing = Lock()
_servers: dict[Path, LiteServer] = {}


def start(path: Path) -> LiteServer:
    """The server of a file, which is made where there is none; `stop` has to follow.

    Raises CollectionError if Milvus Lite is not installed, CollectionLockedError, StorageError.
    """
    path = path.resolve()
    with _changing:
        if (running := _servers.get(path)) is not None:
            running.users += 1
            return running
        try:
            from milvus_lite.adapter.grpc.server import start_server_in_thread
            from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError
        except ImportError:
            raise CollectionError(_MISSING) from None
        try:
            server, database, port = start_server_in_thread(str(path))
        except DataDirLockedError:
            raise CollectionLockedError(
                f"{path}: another process has it open, and Milvus Lite serves one at a time; stop that one first"
            ) from None
        except (OSError, MilvusLiteError, RuntimeError) as error:
            raise StorageError(f"{path}: Milvus Lite cannot open it ({error})") from error
        _servers[path] = LiteServer(port, server, database)
        return _servers[path]


def stop(path: Path) -> None:
    """One user less; the last one closes the file. Raises StorageError."""
    path = path.resolve()
    with _changing:
        running = _servers[path]
        running.users -= 1
        if running.users:
            return
        del _servers[path]
        try:
            running.server.stop(grace=2).wait()
            running.database.close()
        except OSError as error:
            raise StorageError(f"{path}: Milvus Lite cannot close it ({error.strerror})") from error


def bytes_of(path: Path) -> int:
    """What a file of Milvus Lite, which is a folder, takes on the disk."""
    total = 0
    for inside in path.rglob("*"):
        with suppress(FileNotFoundError):  # merged into another meanwhile
            total += inside.stat().st_size if inside.is_file() else 0
    return total
