"""ImageNet of the challenge of 2012 (Russakovsky et al. 2015): 1,000 classes, the same in training and test.

Layout: `train/WNID/*.JPEG` and `val/WNID/*.JPEG`. The authors' validation images are what papers score, so they are the
split `test` here. Classes are numbered by their WNIDs in alphabetical order, as in the published weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.class_folders import read_class_folders
from retrieval.datasets.counts import Count
from retrieval.datasets.dataset import ImageDataset

COUNTS = {"train": Count(1_281_167, 1_000), "test": Count(50_000, 1_000)}


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `train` and `val`."""
    return read_class_folders("imagenet", root, {"train": "train", "test": "val"}, counts)
