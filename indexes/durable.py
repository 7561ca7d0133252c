"""Making sure that what was written survives a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path, *, writer: str = "") -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends, and is on the disk then.

    Whoever reads `path`, even after a power cut, finds the old content or the new. A block that raises changes
    nothing; a crash leaves at most a stray `.NAME.tmp`. writer: a name of one's own, where several processes write
    the same file.
    """
    temporary = path.with_name(f".{path.name}.tmp{writer}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
