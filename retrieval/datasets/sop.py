"""Stanford Online Products (Song et al. 2016): photos of things for sale, few of each; splits disjoint by
class.

Layout: `Ebay_train.txt` and `Ebay_test.txt` (image_id, class_id, super_class_id, path; one line of headings)
beside the twelve folders `bicycle_final/` ... `toaster_final/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.counts import Count, check_counts, require_first_images
from retrieval.datasets.dataset import ImageDataset, Record
from retrieval.datasets.list_file import read_columns, require_file, whole_number

COUNTS = {"train": Count(59_551, 11_318), "test": Count(60_502, 11_316)}


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of the two lists or the one that holds it."""
    if not (root / "Ebay_train.txt").exists() and (root / "Stanford_Online_Products").is_dir():
        root = root / "Stanford_Online_Products"
    lists = {split: require_file(root / f"Ebay_{split}.txt", "sop") for split in ("train", "test")}
    records = []
    for split, path in lists.items():
        for _, number, _, image in read_columns(path, 4, skip=1):
            # Leading zeros, so that the alphabetical order of the labels is that of the numbers.
            label = f"{whole_number(number, path):05d}"
            kind = image.split("/")[0].removesuffix("_final")
            records.append(Record(root / image, label, split, {"kind": kind}))
    dataset = ImageDataset("sop", root, tuple(records), ("train", "test"), "test")
    return require_first_images(check_counts(dataset, counts, lists))
