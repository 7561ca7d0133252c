"""A small set for development: photos of the first 98 models of Cars-196, cropped to the car.

Layout: `NNN/*.jpg`, NNN being the class, and `classes.txt` (class, tab, name). Classes 1-49 train, 50-98
validate; a model that is scored on classes 99-196 may train on all 98.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.counts import Count, check_counts
from retrieval.datasets.dataset import ALL, ImageDataset, Record
from retrieval.datasets.folder import images_in
from retrieval.datasets.list_file import read_columns, require_file, whole_number

COUNTS = {"train": Count(1_995, 49), "validation": Count(2_057, 49)}
LAST_TRAINING_CLASS = 49


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `classes.txt`."""
    classes = require_file(root / "classes.txt", "cars196_dev")
    records: list[Record] = []
    for folder, name in read_columns(classes, 2):
        split = "train" if whole_number(folder, classes) <= LAST_TRAINING_CLASS else "validation"
        records.extend(Record(path, name, split) for path in images_in(root / folder))
    dataset = ImageDataset("cars196_dev", root, tuple(records), ("train", "validation", ALL), "validation")
    return check_counts(dataset, counts, dict.fromkeys(counts, root))
