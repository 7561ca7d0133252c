"""The binary version of CIFAR-10 and CIFAR-100, unpacked into one PNG file an image, since images are read by path.

Each record is a byte for the class (CIFAR-100: one for the coarse class before it), then 1,024 bytes of red, of green
and of blue, row by row. The authors' version for Python is made of pickles, which are never read.

What is unpacked appears under its name when all of it is there; a crash leaves a stray folder `.NAME.tmp-*`, which may
be deleted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.errors import DataError

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE


@dataclass(frozen=True)
class _Version:
    """Files of a packed set. class_bytes: bytes before the pixels, the last of which is the class."""

    names: str
    train: tuple[str, ...]
    test: str
    class_bytes: int


_VERSIONS = (
    _Version(
        "batches.meta.txt", tuple(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin", 1
    ),
    _Version("fine_label_names.txt", ("train.bin",), "test.bin", 2),
)


def refuse_packed(root: Path) -> None:
    """Raise DataError if `root` holds a packed set in place of folders, saying how to unpack it."""
    if (root / "train").is_dir():
        return
    for folder in (root, *sorted(root.glob("cifar-10*-*"))):
        if any((folder / name).is_file() for version in _VERSIONS for name in version.train):
            raise DataError(
                f"{folder} holds the binary version; unpack it with `hdhe data unpack-cifar {folder} DIR`"
            )
        if any((folder / name).is_file() for name in ("data_batch_1", "train")):
            raise DataError(
                f"{folder} holds pickles, which are not read; get the binary version from the authors and unpack it "
                "with `hdhe data unpack-cifar BINARY DIR`"
            )


def unpack_cifar(packed: Path, folder: Path) -> dict[str, int]:
    """Write every image of a packed set as FOLDER/SPLIT/CLASS/NUMBER.png, numbered from 0 in the order of the files.

    packed: folder of the .bin files. folder: not there yet, or empty. Returns the number of images of `train` and
    `test`. Raises DataError for files that are missing or not as they should be, and for a full disk.
    """
    version = next((version for version in _VERSIONS if (packed / version.names).is_file()), None)
    if version is None:
        raise DataError(
            f"{packed} is not the binary version of CIFAR-10 or CIFAR-100: neither "
            f"{' nor '.join(version.names for version in _VERSIONS)} is there"
        )
    names = (packed / version.names).read_text(encoding="utf-8").split()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not an empty folder; choose another")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.tmp-", dir=folder.parent))
        try:
            temporary.chmod(0o755)
            written = {
                "train": _write(_records(packed, version.train, version, names), temporary / "train"),
                "test": _write(_records(packed, (version.test,), version, names), temporary / "test"),
            }
            temporary.rename(folder)  # an empty folder gives way
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error}; free some space and repeat") from error
    return written


def _records(
    packed: Path, files: Iterable[str], version: _Version, names: list[str]
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Class and pixels uint8[32, 32, 3] of each image."""
    length = version.class_bytes + PIXEL_BYTES
    for name in files:
        path = packed / name
        try:
            content = np.frombuffer(path.read_bytes(), np.uint8)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        if len(content) == 0 or len(content) % length:
            raise DataError(
                f"{path} has {len(content):,} bytes, which is no multiple of {length:,}; get it again"
            )
        for record in content.reshape(-1, length):
            number = int(record[version.class_bytes - 1])
            if number >= len(names):
                raise DataError(
                    f"{path} has an image of class {number}, but {version.names} names {len(names)}"
                )
            planes = record[version.class_bytes :].reshape(3, SIDE, SIDE)
            yield names[number], np.ascontiguousarray(planes.transpose(1, 2, 0))


def _write(records: Iterable[tuple[str, NDArray[np.uint8]]], folder: Path) -> int:
    count = 0
    for label, pixels in records:
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / label / f"{count:05d}.png")
        count += 1
    return count
