"""Embeddings with their labels as an .npz file, the bridge to and from other tools.

    embeddings   float[n, d]; rows that are not of norm 1 are normalised when read
    labels       integers or strings, [n]
    is_query     bool[n], optional: which rows are queries
    is_gallery   bool[n], optional: which rows are searched
    paths        strings, [n], optional: where each row comes from

The two masks come together or not at all. A row may be in both parts (it is then left out of its own gallery) or in
neither.

Other arrays in the file are ignored. Nothing is ever unpickled. A file is written beside its target and renamed, so a
crash leaves the old file or the new one, and at worst a stray `.NAME.tmp`.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.durable import replacing
from retrieval.errors import DataError
from retrieval.shards import EmbeddingShards, are_shards

Array = NDArray[Any]

UNIT = 1e-5
"""Norms this close to 1 are left alone: float32 rows normalised elsewhere keep every bit."""

ROWS = 8192
"""Rows in float64 at a time."""


@dataclass(frozen=True, eq=False)
class EmbeddingsFile:
    """What an .npz file holds; see the module. As read: embeddings float32 of norm 1, masks bool."""

    embeddings: NDArray[np.float32]
    labels: Array
    is_query: Array | None = None
    is_gallery: Array | None = None
    paths: Array | None = None

    @property
    def class_numbers(self) -> NDArray[np.int64]:
        """int64[n]: the labels numbered in their order."""
        return np.unique(self.labels, return_inverse=True)[1].astype(np.int64)


def write_embeddings(path: Path, content: EmbeddingsFile) -> None:
    """Write the arrays as they are. Raises DataError if the disk refuses."""
    arrays = {name: array for name, array in vars(content).items() if array is not None}
    try:
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}; choose another place") from error


def read_embeddings(path: Path) -> EmbeddingsFile:
    """Read and check a file, or a whole folder of shards. Raises DataError, one line that names what is wrong."""
    arrays = _read_shards(path) if are_shards(path) else _read_arrays(path)
    for name in ("embeddings", "labels"):
        if name not in arrays:
            there = ", ".join(sorted(arrays)) or "no arrays"
            raise DataError(
                f"{path} has no array {name!r} (it holds {there}); save it as {name}[n{_more(name)}]"
            )
    embeddings = _normalised(path, arrays["embeddings"])
    count = len(embeddings)
    labels = arrays["labels"]
    if labels.shape != (count,):
        raise DataError(
            f"{path}: labels must be one for each of the {count} embeddings; their shape is {labels.shape}"
        )
    if labels.dtype.kind not in "iubUS":
        raise DataError(f"{path}: labels must be integers or strings; they are {labels.dtype}")
    paths = arrays.get("paths")
    if paths is not None and paths.shape != (count,):
        raise DataError(f"{path}: paths must be one for each of the {count} embeddings; got {paths.shape}")
    return EmbeddingsFile(
        embeddings=embeddings,
        labels=labels,
        is_query=_mask(path, arrays, "is_query", "is_gallery", count),
        is_gallery=_mask(path, arrays, "is_gallery", "is_query", count),
        paths=paths,
    )


def _more(name: str) -> str:
    return ", d" if name == "embeddings" else ""


def _read_shards(path: Path) -> dict[str, Array]:
    shards = EmbeddingShards.open(path)
    embeddings = np.empty((shards.manifest.images, shards.manifest.embedding_size), np.float32)
    ids: list[str] = []
    labels: list[str] = []
    for shard in shards:
        if None in shard.labels:
            unlabelled = shard.ids[shard.labels.index(None)]
            raise DataError(
                f"{path}: {unlabelled} has no label; embed images that lie in folders named after them"
            )
        embeddings[len(ids) : len(ids) + len(shard.ids)] = shard.embeddings
        ids += shard.ids
        labels += [label or "" for label in shard.labels]
    return {"embeddings": embeddings[: len(ids)], "labels": np.array(labels), "paths": np.array(ids)}


def _read_arrays(path: Path) -> dict[str, Array]:
    if path.is_dir():
        raise DataError(
            f"{path} is a folder without embeddings; give an .npz file, or a folder of `hdhe embed`"
        )
    if not path.exists():
        raise DataError(f"{path} does not exist; give an .npz file with embeddings[n, d] and labels[n]")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path} is not an .npz file; write it with numpy.savez")
        with np.load(path, allow_pickle=False) as file:
            wanted = ("embeddings", "labels", "is_query", "is_gallery", "paths")
            arrays = {}
            for name in file.files:
                # An array that is not ours is named in messages, and never read.
                arrays[name] = _read_array(path, file, name) if name in wanted else np.empty(0)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged ({error}); write it again") from error
    return arrays


def _read_array(path: Path, file: Any, name: str) -> Array:
    try:
        array = file[name]
    except (
        ValueError,
        EOFError,
        KeyError,
        RuntimeError,
        NotImplementedError,
        SyntaxError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        if "Object arrays" in str(error) or "pickle" in str(error):
            raise DataError(
                f"{path}: {name} holds Python objects, which are not read; save numbers or strings"
            ) from error
        raise DataError(f"{path}: array {name} is damaged; write the file again") from error
    except MemoryError as error:
        raise DataError(f"{path}: array {name} does not fit into memory") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: {name} is not an array; write the file with numpy.savez")
    return array


def _normalised(path: Path, embeddings: Array) -> NDArray[np.float32]:
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise DataError(f"{path}: embeddings must have the shape [n, d]; it is {list(embeddings.shape)}")
    if embeddings.dtype.kind not in "fiu":
        raise DataError(f"{path}: embeddings must be real numbers; they are {embeddings.dtype}")
    result = np.empty(embeddings.shape, np.float32)
    for start in range(0, len(embeddings), ROWS):
        part = embeddings[start : start + ROWS].astype(np.float64)
        greatest = np.abs(part).max(axis=1, keepdims=True)
        wrong = ~np.isfinite(greatest[:, 0])
        if wrong.any():
            raise DataError(f"{path}: row {start + int(wrong.argmax())} of embeddings holds NaN or infinity")
        zero = greatest[:, 0] == 0
        if zero.any():
            raise DataError(
                f"{path}: row {start + int(zero.argmax())} of embeddings is all zeros and has no direction"
            )
        # Scaled first, so that squares neither overflow nor vanish.
        norm = greatest * np.linalg.norm(part / greatest, axis=1, keepdims=True)
        result[start : start + ROWS] = np.where(np.abs(norm - 1) <= UNIT, part, part / norm)
    return result


def _mask(
    path: Path, arrays: dict[str, Array], name: str, partner: str, count: int
) -> NDArray[np.bool_] | None:
    if name not in arrays:
        if partner in arrays:
            raise DataError(f"{path} has {partner} but not {name}; give both, or neither for leave-one-out")
        return None
    mask = arrays[name]
    if mask.shape != (count,):
        raise DataError(f"{path}: {name} must be one for each of the {count} embeddings; got {mask.shape}")
    if mask.dtype.kind not in "biu" or not np.isin(mask, (0, 1)).all():
        raise DataError(f"{path}: {name} must be true or false; it is {mask.dtype}")
    if not mask.any():
        raise DataError(f"{path}: {name} is false for every row, so there is nothing to score")
    return mask.astype(bool)
