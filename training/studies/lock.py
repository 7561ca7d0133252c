"""One study at a time in a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import UserError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, made if need be, until the block or the process ends, however it ends.

    Raises UserError where another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{folder} cannot be written to: {error.strerror}; give another --out") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another `hdhe study` works in {folder}; wait for it, or give another --out"
            ) from None
        yield
