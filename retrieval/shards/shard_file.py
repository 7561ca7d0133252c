"""One shard of embeddings as an .npz file.

    embeddings          float32[n, d], rows of norm 1
    ids                 strings [n]
    labels              strings [n], empty for none
    attributes          JSON objects as strings [n]
    left_out            strings [m]: ids of the images that could not be read
    thumbnails          uint8[...], JPEG files one behind the other; absent where none were asked for
    thumbnail_ends      int64[n]: where each of them ends

Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import socket
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.durable import replacing
from retrieval.errors import DataError

Attributes = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, eq=False)
class Shard:
    """labels: None for an image without. thumbnails: None for each where none were asked for. left_out: other ids."""

    embeddings: NDArray[np.float32]
    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    attributes: tuple[Attributes, ...]
    thumbnails: tuple[bytes | None, ...]
    left_out: tuple[str, ...]


def write_shard(path: Path, shard: Shard, *, thumbnails: bool) -> None:
    """Put a shard in its place, and its thumbnails if they are wanted; when this returns it is on disk.

    Raises DataError if the disk refuses.
    """
    arrays: dict[str, NDArray[Any]] = {
        "embeddings": np.asarray(shard.embeddings, np.float32),
        "ids": np.array(shard.ids, np.str_),
        "labels": np.array([label or "" for label in shard.labels], np.str_),
        "attributes": np.array([json.dumps(dict(each)) for each in shard.attributes], np.str_),
        "left_out": np.array(shard.left_out, np.str_),
    }
    if thumbnails:
        files = [thumbnail or b"" for thumbnail in shard.thumbnails]
        arrays["thumbnails"] = np.frombuffer(b"".join(files), np.uint8)
        arrays["thumbnail_ends"] = np.cumsum([len(file) for file in files], dtype=np.int64)
    try:
        try:
            with replacing(path, writer=this_process()) as file:
                np.savez(file, allow_pickle=False, **arrays)
        finally:
            for stray in path.parent.glob(f".{path.name}.tmp-*"):
                stray.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}; free some space and give the command again"
        ) from error


def read_shard(path: Path) -> Shard:
    """Raises DataError if it is not there or damaged."""
    try:
        # Opened here, because NumPy leaves a file open that is no archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return _shard({name: file[name] for name in file.files})
    except FileNotFoundError:
        raise DataError(f"{path} is missing; give the same `hdhe embed` command again") from None
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, why: str) -> DataError:
    """The error of a shard that cannot be used, with what to do about it."""
    return DataError(f"{path} is damaged ({why}); delete it and give the same `hdhe embed` command again")


def this_process() -> str:
    """The end of a file name that no other process takes, on this machine or another."""
    return f"-{socket.gethostname()}-{os.getpid()}"


def _shard(arrays: Mapping[str, NDArray[Any]]) -> Shard:
    ids = tuple(str(id) for id in arrays["ids"])
    thumbnails: tuple[bytes | None, ...] = (None,) * len(ids)
    if "thumbnails" in arrays:
        ends = [0, *arrays["thumbnail_ends"].tolist()]
        files = arrays["thumbnails"].tobytes()
        thumbnails = tuple(files[start:end] or None for start, end in pairwise(ends))
    columns = (arrays["labels"], arrays["attributes"], thumbnails)
    if any(len(column) != len(ids) for column in columns):
        raise ValueError("its columns differ in length")
    return Shard(
        embeddings=arrays["embeddings"].astype(np.float32, copy=False),
        ids=ids,
        labels=tuple(str(label) or None for label in arrays["labels"]),
        attributes=tuple(json.loads(str(each)) for each in arrays["attributes"]),
        thumbnails=thumbnails,
        left_out=tuple(str(id) for id in arrays["left_out"]),
    )
