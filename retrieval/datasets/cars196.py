"""Cars-196 (Krause et al. 2013): 196 models of cars; retrieval trains on classes 1-98 and tests on 99-196.

Layout: `cars_annos.mat`, the list of all 16,185 images, and `car_ims/`. The list's flag `test` is for
classification (8,144 / 8,041 images over all classes) and is not used: scores taken on that split cannot be
compared with anyone's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from retrieval.datasets.counts import Count, check_counts, require_first_images
from retrieval.datasets.dataset import ImageDataset, Record
from retrieval.datasets.list_file import require_file
from retrieval.errors import DataError

COUNTS = {"train": Count(8_054, 98), "test": Count(8_131, 98)}
LAST_TRAINING_CLASS = 98


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `cars_annos.mat`."""
    annotations = require_file(root / "cars_annos.mat", "cars196")
    records = []
    for path, number, name in _annotations(annotations):
        split = "train" if number <= LAST_TRAINING_CLASS else "test"
        records.append(Record(root / path, name, split))
    dataset = ImageDataset("cars196", root, tuple(records), ("train", "test"), "test")
    return require_first_images(check_counts(dataset, counts, {"train": annotations, "test": annotations}))


def _annotations(path: Path) -> Iterator[tuple[str, int, str]]:
    """Path of the image, class from 1, name of the class."""
    # scipy takes a while to import, and only this set needs it.
    from scipy.io import loadmat

    try:
        contents = loadmat(path, squeeze_me=True)
    except Exception as error:  # its parser raises anything on a damaged file
        raise DataError(f"{path} cannot be read as a MATLAB file: {error}") from None
    try:
        rows, names = np.atleast_1d(contents["annotations"]), np.atleast_1d(contents["class_names"])
        paths, numbers = rows["relative_im_path"], rows["class"].astype(np.int64)
        if numbers.min() < 1 or numbers.max() > len(names):
            raise ValueError(f"class {numbers.max()} of {len(names)} names")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is not the list of all images (annotations.relative_im_path, annotations.class, "
            f"class_names): {error}"
        ) from None
    for image, number in zip(paths, numbers, strict=True):
        yield str(image), int(number), str(names[number - 1])
