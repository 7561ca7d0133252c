"""What a snapshot says of itself: `snapshot.json`, with the sequence number it is of and a checksum of every file.

It is written when the snapshot is made and read when it is restored, possibly years later and on another machine: what
was damaged on the way, or written to since, is then refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexes.errors import CollectionError, StorageError

MANIFEST_NAME = "snapshot.json"
"""In a snapshot's folder."""

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """sequence: of the last write that is in it. taken_at: ISO 8601, UTC. files: {path: its BLAKE2b, in hex}."""

    sequence: int
    items: int
    model_fingerprint: str
    taken_at: str
    files: dict[str, str]


def write_manifest(folder: Path, *, sequence: int, items: int, model_fingerprint: str) -> Manifest:
    """Describe all files below a folder. Raises OSError."""
    files = {path.relative_to(folder).as_posix(): _blake2b(path) for path in _files(folder)}
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(sequence, items, model_fingerprint, taken_at, files)
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1)
    (folder / MANIFEST_NAME).write_text(text + "\n")
    return manifest


def checked_manifest(folder: Path) -> Manifest:
    """Read it and compare every file with it.

    Raises CollectionError if the folder is no snapshot, StorageError naming the file that is missing or differs.
    """
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST_NAME).read_text())
        if content.pop("format") != FORMAT:
            raise CollectionError(f"{folder}: a snapshot of another version; upgrade hdhe")
        manifest = Manifest(**content)
    except FileNotFoundError:
        raise CollectionError(
            f"{folder}: no snapshot is there (it has no {MANIFEST_NAME}); make one with `hdhe index snapshot`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / MANIFEST_NAME}: it is damaged; use another snapshot") from error
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            found = _blake2b(path)
        except OSError as error:
            raise StorageError(
                f"{path}: it cannot be read ({error.strerror}); use another snapshot"
            ) from error
        # A log beside the database would be part of it; the copy was made without one.
        log = path.with_name(f"{path.name}-wal")
        if found != expected or (log.exists() and log.stat().st_size > 0):
            raise StorageError(
                f"{path}: it is not as it was when the snapshot was taken; use another snapshot"
            )
    return manifest


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path


def _blake2b(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
