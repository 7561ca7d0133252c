"""The folder of shards: what it holds, who may write into it, and what is still missing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval.durable import sync
from retrieval.errors import DataError
from retrieval.shards.shard_file import Shard, damaged, read_shard, this_process, write_shard

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What a folder of shards holds. model: fingerprint. images: of all shards, those left out among them.
    images_digest: SHA-256 of ids and labels in order. shard_size: images in each shard but the last.
    """

    model: str
    embedding_size: int
    images: int
    images_digest: str
    shard_size: int
    thumbnails: bool
    format_version: int = FORMAT_VERSION

    @property
    def shards(self) -> int:
        """How many there are when all is done."""
        return -(-self.images // self.shard_size)

    def members(self, number: int) -> range:
        """The positions, in the list of images, of those of a shard."""
        start = number * self.shard_size
        return range(start, min(start + self.shard_size, self.images))


def images_digest(images: Sequence[tuple[str, str | None]]) -> str:
    """SHA-256 of ids and labels, in order."""
    digest = hashlib.sha256()
    for id, label in images:
        digest.update(json.dumps([id, label]).encode())
    return digest.hexdigest()


class EmbeddingShards:
    """A folder of shards that is there, whole or not yet."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path) -> EmbeddingShards:
        """Raises DataError, one line, if there is no manifest or one that cannot be read."""
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise DataError(f"{folder} holds no embeddings (no {MANIFEST_NAME}); make it with `hdhe embed`")
        try:
            values = json.loads(path.read_text())
            if values["format_version"] != FORMAT_VERSION:
                version = values["format_version"]
                raise DataError(f"{path} has format version {version!r}; this release reads {FORMAT_VERSION}")
            manifest = Manifest(**values)
            if min(manifest.embedding_size, manifest.images, manifest.shard_size) < 1:
                raise ValueError("sizes must be 1 or more")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is damaged ({error!r}); embed into another folder") from error
        return cls(folder, manifest)

    @classmethod
    def claim(cls, folder: Path, manifest: Manifest) -> EmbeddingShards:
        """Open a folder to write into: a new one, or one of the same model, images and settings, to go on with.

        Any number of processes may do so at once. Raises DataError for a folder of something else, naming what differs.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            in_use = any(not path.name.startswith(".") for path in folder.iterdir())
            if not (folder / MANIFEST_NAME).exists():  # after looking: another process may begin meanwhile
                if in_use:
                    raise DataError(f"{folder} is in use by something else; choose another --out")
                _write_first(folder / MANIFEST_NAME, json.dumps(asdict(manifest), indent=2) + "\n")
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error.strerror}; choose another --out") from error
        there = cls.open(folder)
        for name, wanted in asdict(manifest).items():
            found = getattr(there.manifest, name)
            if found != wanted:
                raise DataError(
                    f"{folder} was begun with another {_WORDS[name]} ({_short(found)}, not {_short(wanted)}); "
                    "choose another --out"
                )
        return there

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are still to be written, ascending."""
        there = {path.name for path in self.folder.glob("shard-*.npz")}
        return [number for number in range(self.manifest.shards) if shard_name(number) not in there]

    def check_whole(self) -> None:
        """Raises DataError while shards are missing."""
        missing = self.missing
        if missing:
            raise DataError(
                f"{self.folder} lacks {len(missing)} of {self.manifest.shards} shards; "
                "give the same `hdhe embed` command again, which goes on where it was"
            )

    def write(self, number: int, shard: Shard) -> None:
        """As `write_shard`."""
        write_shard(self.folder / shard_name(number), shard, thumbnails=self.manifest.thumbnails)

    def read(self, number: int) -> Shard:
        """One shard. Raises DataError if it is missing, damaged, or not what the manifest says."""
        path = self.folder / shard_name(number)
        shard = read_shard(path)
        found, expected = len(shard.ids) + len(shard.left_out), len(self.manifest.members(number))
        if shard.embeddings.shape != (len(shard.ids), self.manifest.embedding_size) or found != expected:
            raise damaged(path, f"{shard.embeddings.shape} embeddings of {found} images, not {expected}")
        return shard

    def __iter__(self) -> Iterator[Shard]:
        """Every shard in order. Raises DataError as `check_whole` and `read` do."""
        self.check_whole()
        return (self.read(number) for number in range(self.manifest.shards))


def shard_name(number: int) -> str:
    """Of a shard's file."""
    return f"shard-{number:06d}.npz"


def are_shards(path: Path) -> bool:
    """Whether a folder is one of shards."""
    return (path / MANIFEST_NAME).is_file()


_WORDS = {
    "model": "model",
    "embedding_size": "embedding size",
    "images": "number of images",
    "images_digest": "list of images",
    "shard_size": "--shard-size",
    "thumbnails": "choice of --thumbnails",
    "format_version": "format version",
}


def _short(value: object) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and len(value) > 12 else str(value)


def _write_first(path: Path, text: str) -> None:
    """Write a file that several processes may want to be the first to write; the first one's stays."""
    temporary = path.with_name(f".{path.name}.tmp{this_process()}")
    try:
        temporary.write_text(text)
        sync(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:
            temporary.replace(path)  # a file system without hard links; all write the same
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
