"""MIT-67 (Quattoni & Torralba 2009, "Recognizing Indoor Scenes"): 67 kinds of rooms, the same in training and test.

Layout: `Images/CLASS/*.jpg`, 15,620 photos, and the authors' lists `TrainImages.txt` and `TestImages.txt` (a path below
`Images` a line) of the photos that papers use; the others are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.class_folders import require_same_classes
from retrieval.datasets.counts import Count, check_counts, require_first_images
from retrieval.datasets.dataset import ImageDataset, Record
from retrieval.datasets.list_file import read_columns, require_file
from retrieval.errors import DataError

COUNTS = {"train": Count(5_360, 67), "test": Count(1_340, 67)}


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `Images` and the two lists."""
    lists = {
        "train": require_file(root / "TrainImages.txt", "mit67"),
        "test": require_file(root / "TestImages.txt", "mit67"),
    }
    records = []
    for split, path in lists.items():
        for (image,) in read_columns(path, 1):
            label, slash, _ = image.partition("/")
            if not slash:
                raise DataError(f"{path}: CLASS/IMAGE expected, {image[:40]!r} found")
            records.append(Record(root / "Images" / image, label, split))
    dataset = ImageDataset("mit67", root, tuple(records), ("train", "test"), "test")
    return require_first_images(require_same_classes(check_counts(dataset, counts, lists)))
