"""The file that holds the keys of a service: `keys.json` in the collection's folder, or wherever HDHE_KEYS says.

Where there is no file, the service is open, and `hdhe serve` keeps to this machine. Once there is one, only its keys
let anybody in; a file without a key, one that has gone and one that cannot be read let nobody in. A running service
sees a change within a second.

The file is readable by its owner alone, and is replaced as a whole: written beside itself, synced and renamed, under
a lock on its folder, so that a crash leaves the old keys or the new ones, and two commands at once lose nothing.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from indexes.errors import UserError
from retrieval.durable import sync
from service.security.keys import Key, Scope, matching, new_token

logger = logging.getLogger(__name__)

FILE_NAME = "keys.json"
LOOK_SECONDS = 1.0
"""How often a running service looks whether the file has changed."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    keys: list[Key] = []


def key_path(collection: Path | None, file: Path | None) -> Path:
    """Where the keys of a collection are. file: the place that was named, if one was. Raises UserError for neither."""
    if file is not None:
        return file
    if collection is None:
        raise UserError("name the collection with --collection, or the file of its keys with --keys")
    if not collection.is_dir():
        raise UserError(
            f"{collection} is not a folder; make a collection there first with `hdhe index build`"
        )
    return collection / FILE_NAME


def read_keys(path: Path) -> list[Key]:
    """The keys of a file; none where there is no file. Raises UserError for one that cannot be read."""
    try:
        return _Content.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); it must belong to this user") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path}: {place}: {first['msg']}; restore it from a copy, or delete it") from None


def create_key(
    path: Path, name: str, scope: Scope, *, rate: float | None = None, burst: int | None = None
) -> tuple[Key, str]:
    """Add a key; returns it and the token, which is not kept. Raises UserError."""
    id, token, sha256 = new_token()
    try:
        key = Key(
            id=id, name=name, scope=scope, sha256=sha256, created=datetime.now(UTC), rate=rate, burst=burst
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"--{first['loc'][0]} {first['input']!r}: {first['msg']}") from None
    with _locked(path):
        keys = read_keys(path)
        if any(other.name == name for other in keys):
            raise UserError(f"there is a key named {name!r} already; choose another name, or revoke that one")
        _write(path, [*keys, key])
    return key, token


def revoke_key(path: Path, name: str) -> Key:
    """Remove the key of this name or id. Raises UserError."""
    with _locked(path):
        keys = read_keys(path)
        found = next((key for key in keys if name in (key.name, key.id)), None)
        if found is None:
            raise UserError(f"{path} has no key {name!r}; `hdhe keys list` shows those that there are")
        _write(path, [key for key in keys if key is not found])
    return found


class KeyFile:
    """The keys as a running service sees them. Raises UserError if the file is there and cannot be read."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._state = self._look()
        self._looked = clock()
        self._keys = {key.id: key for key in read_keys(path)}
        self._open = self._state is None
        self._readable = True

    @property
    def open(self) -> bool:
        """Whether there has been no file since the service was started, so that no key is needed."""
        self._refresh()
        return self._open

    def find(self, token: str) -> Key | None:
        """The key that this token is of."""
        self._refresh()
        return matching(token, self._keys)

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        state = self._look()
        changed = state != self._state
        # One that could not be read is tried again: its owner may change and nothing else.
        if not changed and self._readable:
            return
        self._state = state
        # Whatever happens to the file, the service never becomes open again.
        self._open = False
        try:
            self._keys = {key.id: key for key in read_keys(self._path)}
            self._readable = True
            logger.info("the keys have changed: %d now", len(self._keys))
        except UserError as error:
            self._keys = {}
            self._readable = False
            if changed:
                logger.error("nobody is let in: %s", error)

    def _look(self) -> object:
        """Something that differs after every replacement of the file; None where there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return error.errno
        return found.st_ino, found.st_mtime_ns, found.st_size


def _write(path: Path, keys: Sequence[Key]) -> None:
    temporary = path.with_name(path.name + ".new")
    try:
        # Left by a crash: it may have another owner's mode.
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_Content(keys=list(keys)).model_dump_json(indent=2) + "\n")
        sync(temporary)
        temporary.rename(path)
        sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for other commands that change keys in this folder."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"{path.parent}: {error.strerror}; make the folder first") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
