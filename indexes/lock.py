"""One writing process a collection: an advisory lock on a file in its folder (POSIX `flock`).

The kernel lets go of it when the process ends, however it ends, so a crash leaves nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from indexes.errors import CollectionLockedError, StorageError


class FolderLock:
    """Held from construction until `release`. Raises CollectionLockedError if another holds it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        try:
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(
                f"{folder}: cannot be written ({error.strerror}); open it read-only"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            self.release()
            raise CollectionLockedError(
                f"{folder}: open for writing in another process (pid {holder}); close that one or open this read-only"
            ) from None
        except OSError as error:
            self.release()
            raise StorageError(f"{path}: cannot be locked ({error.strerror}); use a local disk") from error
        # Only for the message above; a full disk must not keep a collection from being opened.
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass

    def release(self) -> None:
        """Let another process in. Releasing twice is harmless."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
