"""The table of known data sets, and the one door to every data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from retrieval.datasets import (
    cars196,
    cars196_dev,
    cifar10,
    cifar100,
    cub200,
    cub200_classes,
    folder,
    grocery,
    imagenet,
    inshop,
    manifest,
    mit67,
    sop,
)
from retrieval.datasets.counts import Count
from retrieval.datasets.dataset import ImageDataset
from retrieval.errors import DataError


class Reader(Protocol):
    """Reads a set; counts: what must be there, by default what was published (another thing for a made-up set)."""

    def __call__(self, root: Path, counts: Mapping[str, Count] = ...) -> ImageDataset:
        """Raises DataError for a set that is not as it should be."""
        ...


@dataclass(frozen=True)
class KnownDataset:
    """A set with a name: how it is read and what must be in it.

    shared_classes: training and test are of the same classes, for classification; otherwise no class is in both.
    folder: name of the folder that it is expected in, where that is not its own name.
    """

    title: str
    read: Reader
    counts: Mapping[str, Count]
    shared_classes: bool = False
    folder: str | None = None


DATASETS: Mapping[str, KnownDataset] = {
    "cub200": KnownDataset("CUB-200-2011, birds", cub200.read, cub200.COUNTS),
    "cars196": KnownDataset("Cars-196", cars196.read, cars196.COUNTS),
    "sop": KnownDataset("Stanford Online Products", sop.read, sop.COUNTS),
    "inshop": KnownDataset("In-Shop Clothes Retrieval", inshop.read, inshop.COUNTS),
    "cars196_dev": KnownDataset("Cars-196, first 98 classes, small", cars196_dev.read, cars196_dev.COUNTS),
    "grocery": KnownDataset("Grocery Store Dataset, small", grocery.read, grocery.COUNTS),
    "cifar10": KnownDataset("CIFAR-10, small photos", cifar10.read, cifar10.COUNTS, shared_classes=True),
    "cifar100": KnownDataset("CIFAR-100, small photos", cifar100.read, cifar100.COUNTS, shared_classes=True),
    "mit67": KnownDataset("MIT-67, rooms", mit67.read, mit67.COUNTS, shared_classes=True),
    "cub200_classes": KnownDataset(
        "CUB-200-2011, classification",
        cub200_classes.read,
        cub200_classes.COUNTS,
        shared_classes=True,
        folder="cub200",
    ),
    "imagenet": KnownDataset("ImageNet 2012", imagenet.read, imagenet.COUNTS, shared_classes=True),
}


def default_root(name: str) -> Path:
    """Where a known set is expected: $HDHE_DATA/FOLDER, or ~/.cache/hdhe/data/FOLDER where that is not set; the folder
    has the set's name, but two sets may be made of the same files.
    """
    base = os.environ.get("HDHE_DATA")
    where = Path(base).expanduser() if base else Path.home() / ".cache" / "hdhe" / "data"
    return where / (DATASETS[name].folder or name)


def open_dataset(name_or_dir: str, root: Path | None = None) -> ImageDataset:
    """Open a known set by its name, or a folder or CSV manifest by its path.

    root: folder of a known set; None means `default_root`. A folder of the same name as a known set is opened as
    `./NAME`. Raises DataError if the set is not there or not complete.
    """
    if name_or_dir in DATASETS:
        where = (root or default_root(name_or_dir)).expanduser()
        if not where.is_dir():
            raise DataError(
                f"data set {name_or_dir} is not at {where}; unpack it there, or give its folder with --root"
            )
        return DATASETS[name_or_dir].read(where)
    if root is not None:
        raise DataError(f"--root goes with a known data set ({', '.join(DATASETS)}), not with {name_or_dir}")
    path = Path(name_or_dir).expanduser()
    if path.is_dir():
        listed = path / "manifest.csv"
        return manifest.read(listed) if listed.exists() else folder.read(path.resolve())
    if path.suffix.lower() == ".csv" and path.is_file():
        return manifest.read(path)
    raise DataError(
        f"{name_or_dir!r} is neither a folder, nor a .csv manifest, nor a known data set; give a folder that holds "
        f"a folder of images for each class, or one of {', '.join(DATASETS)}"
    )
