"""Sets for classification as folders: ROOT/SPLIT/CLASS/IMAGE, the same classes in every split."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.counts import Count, check_counts
from retrieval.datasets.dataset import ImageDataset, Record
from retrieval.datasets.folder import images_in
from retrieval.errors import DataError


def read_class_folders(
    name: str, root: Path, folders: Mapping[str, str], counts: Mapping[str, Count]
) -> ImageDataset:
    """Read the splits `train` and `test` of data set `name`, each from its folder below `root`.

    Folders are listed, and no image is opened or looked at. Raises DataError for a folder that is missing, a wrong
    count, or classes that are in one split alone.
    """
    records: list[Record] = []
    for split, folder in folders.items():
        for label in _folders_in(root / folder, name):
            records.extend(Record(path, label, split) for path in images_in(root / folder / label))
    dataset = ImageDataset(name, root, tuple(records), ("train", "test"), "test")
    check_counts(dataset, counts, {split: root / folder for split, folder in folders.items()})
    return require_same_classes(dataset)


def require_same_classes(dataset: ImageDataset) -> ImageDataset:
    """Raise DataError if a class is not in every split of the data set."""
    present = [set(dataset.subset(split).classes) for split in dataset.split_names]
    lone = present[0].union(*present) - present[0].intersection(*present)
    if lone:
        raise DataError(
            f"{dataset.root}: class {min(lone)!r} of {dataset.name} is not in every split "
            f"({', '.join(dataset.split_names)}); get the set again from its authors"
        )
    return dataset


def _folders_in(folder: Path, dataset: str) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder} is missing; `hdhe data list` shows where {dataset} is expected")
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None
