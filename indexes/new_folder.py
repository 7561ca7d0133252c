"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexes.durable import sync
from indexes.errors import CollectionError, StorageError


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name when the block ends: then all that is in it is on the disk.

    If the block raises, nothing is left; after a crash, at most a stray folder with a dot before its name. The target
    has to be new or empty. Raises CollectionError if something is there, StorageError if the disk refuses.
    """
    folder = folder.absolute()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CollectionError(f"{folder}: something is there already; choose a new or empty folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield temporary
            for inside, _, files in os.walk(temporary):
                for name in files:
                    sync(Path(inside, name))
                sync(Path(inside))
            temporary.chmod(0o755)  # mkdtemp lets only the owner in
            temporary.rename(folder)
            sync(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{folder}: it was not written ({reason}); free space or choose another folder"
        ) from error
