"""CUB-200-2011 for classification: all 200 species in training and in test, by the authors' `train_test_split.txt` (id,
1 for training). Otherwise as `cub200`, from the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.class_folders import require_same_classes
from retrieval.datasets.counts import Count, check_counts, require_first_images
from retrieval.datasets.cub200 import find_root, read_birds
from retrieval.datasets.dataset import ImageDataset, Record
from retrieval.datasets.list_file import read_columns, require_file
from retrieval.errors import DataError

COUNTS = {"train": Count(5_994, 200), "test": Count(5_794, 200)}
SPLITS = {"1": "train", "0": "test"}


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, which is the folder CUB_200_2011 or the one that holds it."""
    root = find_root(root)
    path = require_file(root / "train_test_split.txt", "cub200_classes")
    flags = dict(read_columns(path, 2))
    records = []
    for bird in read_birds(root, "cub200_classes"):
        split = SPLITS.get(flags.get(bird.image, ""))
        if split is None:
            raise DataError(f"{path}: image {bird.image} must have 1 (training) or 0 (test)")
        records.append(Record(bird.path, bird.label, split))
    dataset = ImageDataset("cub200_classes", root, tuple(records), ("train", "test"), "test")
    check_counts(dataset, counts, {"train": path, "test": path})
    return require_first_images(require_same_classes(dataset))
