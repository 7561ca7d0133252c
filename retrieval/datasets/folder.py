"""A folder a class: DIR/LABEL/**/IMAGE. The name of the first folder is the label.

Files whose name begins with a dot and files that are no images by their suffix are passed over. An image that
cannot be read (0 bytes, no permission, a broken link) is left out and named in `ImageDataset.problems`;
whether a file decodes is only known when it is decoded, see `dataset.keep_readable`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from retrieval.datasets.dataset import ALL, ImageDataset, Record, alternate_classes
from retrieval.errors import DataError
from retrieval.images import SUFFIXES


def read(root: Path) -> ImageDataset:
    """Read a folder. Splits: `train` and `validation`, every other class by name, and `all`.

    Raises DataError if there are fewer than two classes, or a class without a readable image.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    folders = sorted(path for path in _listing(root) if path.is_dir() and not path.name.startswith("."))
    loose = [path for path in _listing(root) if path.is_file() and _is_image(path.name)]
    if not folders:
        what = f"{len(loose)} images but no folders" if loose else "no images"
        raise DataError(f"{root} holds {what}; put the images of each class into a folder named after it")
    problems = [f"{path}: lies beside the class folders and has no label" for path in loose]
    found: dict[str, list[Path]] = {}
    for folder in folders:
        found[folder.name], unreadable = readable_files(images_in(folder))
        problems += unreadable
    empty = [label for label, paths in found.items() if not paths]
    if len(empty) == len(found):
        raise DataError(f"no readable images in the {len(found)} class folders of {root}")
    if empty:
        raise DataError(f"{root / empty[0]} holds no readable image; put images into it or remove it")
    if len(found) < 2:
        raise DataError(f"{root} has one class, {folders[0].name!r}; retrieval needs two or more")
    split_of = alternate_classes(found)
    records = [Record(path, label, split_of[label]) for label, paths in found.items() for path in paths]
    return ImageDataset(
        root.name, root, tuple(records), ("train", "validation", ALL), ALL, problems=tuple(problems)
    )


def images_in(folder: Path) -> list[Path]:
    """Image files at any depth of a folder, in alphabetical order; links to folders are not followed."""
    return sorted(_walk(folder))


def readable_files(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Files that can be opened and have content, and one line for each that cannot or has not."""
    readable: list[Path] = []
    problems: list[str] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                empty = not file.read(1)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
            continue
        if empty:
            problems.append(f"{path}: is empty (0 bytes)")
        else:
            readable.append(path)
    return readable, problems


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if _is_image(name):
                yield Path(parent) / name


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _listing(root: Path) -> list[Path]:
    try:
        return sorted(root.iterdir())
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from None
