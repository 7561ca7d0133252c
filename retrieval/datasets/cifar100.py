"""CIFAR-100 (Krizhevsky 2009): as CIFAR-10, with a hundred classes (the authors' fine ones) of 600 photos each.

Layout: `train/CLASS/` and `test/CLASS/` with one file an image. The authors' binary version has to be unpacked first,
see `cifar_binary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.cifar_binary import refuse_packed
from retrieval.datasets.class_folders import read_class_folders
from retrieval.datasets.counts import Count
from retrieval.datasets.dataset import ImageDataset

COUNTS = {"train": Count(50_000, 100), "test": Count(10_000, 100)}


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `train` and `test`."""
    refuse_packed(root)
    return read_class_folders("cifar100", root, {"train": "train", "test": "test"}, counts)
