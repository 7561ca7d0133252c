"""CIFAR-10 (Krizhevsky 2009): 60,000 photos of 32 x 32 pixels; ten classes, the same in training and test.

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

COUNTS = {"train": Count(50_000, 10), "test": Count(10_000, 10)}


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `train` and `test`."""
    refuse_packed(root)
    return read_class_folders("cifar10", root, {"train": "train", "test": "test"}, counts)
