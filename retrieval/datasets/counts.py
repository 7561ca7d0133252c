"""How many images and classes a published data set has, so that a score is never taken on a part of it
unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from retrieval.datasets.dataset import ImageDataset
from retrieval.errors import DataError


@dataclass(frozen=True)
class Count:
    """Images and classes of one split."""

    images: int
    classes: int

    def __str__(self) -> str:
        return f"{self.images:,} images of {self.classes:,} classes"


def check_counts(
    dataset: ImageDataset, expected: Mapping[str, Count], sources: Mapping[str, Path]
) -> ImageDataset:
    """Return the data set if each split has the expected count; raise DataError naming the split's file
    otherwise.

    sources: for each split of `expected`, the file or folder that says what is in it.
    """
    for split, count in expected.items():
        records = [record for record in dataset.records if record.split == split]
        found = Count(len(records), len({record.label for record in records}))
        if found != count:
            raise DataError(
                f"{sources[split]}: split {split!r} of {dataset.name} must have {count}, "
                f"but {found} are there; get this file again from the data set's authors"
            )
    return dataset


def require_first_images(dataset: ImageDataset) -> ImageDataset:
    """Raise DataError if a split's first image is not there: the lists are in place but the images are
    not.
    """
    seen: set[str] = set()
    for record in dataset.records:
        if record.split not in seen:
            seen.add(record.split)
            if not record.path.is_file():
                raise DataError(
                    f"{record.path} is missing: the lists of {dataset.name} are there, but not its images; "
                    f"unpack them and run `hdhe data check {dataset.name}`"
                )
    return dataset
