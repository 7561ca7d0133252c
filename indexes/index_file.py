"""The index on disk: a header that says whose it is and what it covers, and FAISS's bytes behind it.

    magic (8 bytes)  length of the header (4, little-endian)  BLAKE2b of the header (32)  header (JSON)
    payload

The header carries the payload's length and BLAKE2b. FAISS's reader trusts its input, so it sees only a
payload whose checksum has been verified and whose header names this very collection. A large file is mapped and
not read (`mapped_payload`): header and length have been verified then, and the checksum is compared while it is
searched already. A file is written under another name, synced, renamed and the folder synced: a crash leaves the old
file or the new one, and perhaps a stray temporary file that the next writing replaces. The file can always be rebuilt
from the rows.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

import faiss

from indexes.durable import replacing
from indexes.faiss_index import FaissIndex
from indexes.index_kinds import KINDS
from indexes.mapped_payload import DIGEST_BYTES, MappedPayload

INDEX_NAME = "index.faiss"
"""In a collection's folder."""

_MAGIC = b"HDHEIDX1"
"""The digit is the version of the format; a file of another version is rebuilt like a damaged one."""

MAPPED_FROM = 1 << 30
"""Bytes of a payload from which on it is mapped: what is smaller is read and checked in about a second."""

_CHUNK = 1 << 20
_MOST_HEADER = 1 << 20


class IndexFileError(Exception):
    """Why an index file cannot be used; the index is then rebuilt. Never reaches a user as an error."""


@dataclass(frozen=True)
class IndexHeader:
    """What an index is. sequence: the clock of the rows it covers. built: items when it was trained.

    measured: items when recall ({k: recall of the index against exact search}) was measured. effort, depth: the width
    of a search (`SearchWidth`). indexes: how many of FAISS's are in the payload, one behind the other.
    """

    collection: str
    model_fingerprint: str
    embedding_size: int
    kind: str
    effort: int
    sequence: int
    items: int
    built: int
    measured: int
    recall: dict[int, float]
    depth: int = 1
    indexes: int = 1


def write_index_file(path: Path, header: IndexHeader, index: FaissIndex) -> None:
    """Write, replacing what is there, so that a crash leaves one or the other. Raises OSError."""
    with replacing(path) as file:
        # Payload length and checksum have a fixed width, so that they can be filled in afterwards.
        file.write(_encoded(replace(header, indexes=0), 0, bytes(DIGEST_BYTES)))
        digest, length = hashlib.blake2b(digest_size=DIGEST_BYTES), 0

        def write(data: bytes) -> int:
            nonlocal length
            digest.update(data)
            length += len(data)
            return file.write(data)

        indexes = index.write(faiss.PyCallbackIOWriter(write, _CHUNK))
        file.seek(0)
        file.write(_encoded(replace(header, indexes=indexes), length, digest.digest()))


def copy_index_file(source: Path, target: Path, collection: str) -> None:
    """Copy a file for a collection of another name, whose rows are a copy too, without loading the index.

    Raises IndexFileError if the source is missing or damaged (what was written is of no use then), OSError if the
    target cannot be written.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise IndexFileError(_reason(error)) from error
    with file, target.open("wb") as copy:
        header, length, digest = _decoded(file)
        copy.write(_encoded(replace(header, collection=collection), length, digest))
        found = hashlib.blake2b(digest_size=DIGEST_BYTES)
        copied = 0
        while chunk := file.read(_CHUNK):
            found.update(chunk)
            copied += copy.write(chunk)
        if copied != length or found.digest() != digest:
            raise IndexFileError("its checksum does not match")


def read_index_header(path: Path) -> IndexHeader:
    """The header alone. Raises IndexFileError if there is no file or its header is damaged."""
    try:
        with path.open("rb") as file:
            return _decoded(file)[0]
    except OSError as error:
        raise IndexFileError(_reason(error)) from error


def read_index_file(
    path: Path, collection: str, *, gpu: bool | None = None
) -> tuple[IndexHeader, FaissIndex]:
    """Header and index. Raises IndexFileError if it is missing, damaged, or of another collection."""
    try:
        with path.open("rb") as file:
            header, length, digest = _decoded(file)
            if header.collection != collection:
                raise IndexFileError("it belongs to another collection")
            start = file.tell()
            if os.fstat(file.fileno()).st_size != start + length:
                raise IndexFileError("it is cut short or has something appended")
            mapping = None
            if length >= MAPPED_FROM:
                mapping = MappedPayload.of(path, start, length, digest)
                index, *beside = mapping.view(header.indexes)
            else:
                _check_payload(file, digest)
                file.seek(start)
                reader = faiss.PyCallbackIOReader(file.read, _CHUNK)
                index, *beside = [faiss.read_index(reader) for _ in range(header.indexes)]
    except OSError as error:
        raise IndexFileError(_reason(error)) from error
    except RuntimeError as error:
        # FAISS refuses what it cannot read, for example a file of a later version.
        raise IndexFileError(f"FAISS cannot read it: {str(error).splitlines()[0]}") from error
    if index.d != header.embedding_size:
        raise IndexFileError("it holds vectors of another size")
    newcomers = beside[0] if beside else None
    return header, FaissIndex(KINDS[header.kind], index, newcomers=newcomers, mapping=mapping, gpu=gpu)


def _check_payload(file: IO[bytes], digest: bytes) -> None:
    found = hashlib.blake2b(digest_size=DIGEST_BYTES)
    while chunk := file.read(_CHUNK):
        found.update(chunk)
    if found.digest() != digest:
        raise IndexFileError("its checksum does not match")


def _encoded(header: IndexHeader, length: int, digest: bytes) -> bytes:
    content = {**asdict(header), "payload_bytes": f"{length:020}", "payload_blake2b": digest.hex()}
    text = json.dumps(content).encode()
    return b"".join([_MAGIC, len(text).to_bytes(4, "little"), _blake2b(text), text])


def _decoded(file: IO[bytes]) -> tuple[IndexHeader, int, bytes]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise IndexFileError("it is not an index file of this version")
    size = int.from_bytes(file.read(4), "little")
    checksum = file.read(DIGEST_BYTES)
    text = file.read(min(size, _MOST_HEADER))
    if len(text) != size or _blake2b(text) != checksum:
        raise IndexFileError("its header is damaged")
    content = json.loads(text)
    length, digest = int(content.pop("payload_bytes")), bytes.fromhex(content.pop("payload_blake2b"))
    content["recall"] = {int(k): recall for k, recall in content["recall"].items()}
    if content["kind"] not in KINDS:
        raise IndexFileError(f"this version knows no index of kind {content['kind']!r}")
    return IndexHeader(**content), length, digest


def _blake2b(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _reason(error: OSError) -> str:
    return (
        "it is missing" if isinstance(error, FileNotFoundError) else f"it cannot be read ({error.strerror})"
    )
