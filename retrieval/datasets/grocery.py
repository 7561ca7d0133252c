"""Grocery Store Dataset (Klasson et al. 2019): photos of fruit, vegetables and cartons taken in shops.

Layout: `NN/*.jpg`, NN being one of 81 fine classes, and `classes.csv`, where each fine class has a coarse
one. The authors' own splits (first part of each file's name) share their classes and are kept as an attribute
only. Here alternate coarse classes train and validate, so that no kind of apple is known from another kind of
apple.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.counts import Count, check_counts
from retrieval.datasets.dataset import ALL, ImageDataset, Record, alternate_classes
from retrieval.datasets.folder import images_in
from retrieval.datasets.list_file import require_file, whole_number
from retrieval.errors import DataError

COUNTS = {"train": Count(3_166, 47), "validation": Count(2_255, 34)}


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `classes.csv`."""
    path = require_file(root / "classes.csv", "grocery")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                (
                    whole_number(row["Class ID (int)"], path),
                    row["Class Name (str)"],
                    row["Coarse Class Name (str)"],
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
        raise DataError(f"{path} is not the list of classes of the Grocery Store Dataset: {error}") from None
    split_of = alternate_classes(coarse for _, _, coarse in rows)
    records = [
        Record(image, name, split_of[coarse], {"coarse": coarse, "shelf": image.name.split("_")[0]})
        for number, name, coarse in rows
        for image in images_in(root / f"{number:02d}")
    ]
    dataset = ImageDataset("grocery", root, tuple(records), ("train", "validation", ALL), "validation")
    return check_counts(dataset, counts, dict.fromkeys(counts, root))
