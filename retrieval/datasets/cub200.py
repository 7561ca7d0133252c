"""CUB-200-2011 (Wah et al. 2011): 200 species of birds; retrieval trains on classes 1-100 and tests on
101-200.

Layout of the authors' archive: `images.txt` (id, path below `images/`), `image_class_labels.txt` (id, class
1-200), `classes.txt` (class, name). Their own file `train_test_split.txt` is for classification, see
`cub200_classes`, and is not used here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from retrieval.datasets.counts import Count, check_counts, require_first_images
from retrieval.datasets.dataset import ImageDataset, Record
from retrieval.datasets.list_file import read_columns, require_file, whole_number
from retrieval.errors import DataError

COUNTS = {"train": Count(5_864, 100), "test": Count(5_924, 100)}
LAST_TRAINING_CLASS = 100


@dataclass(frozen=True)
class Bird:
    """One image of the lists. image: its id there. number: its class, from 1; label: the class's name."""

    image: str
    path: Path
    number: int
    label: str


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, which is the folder CUB_200_2011 or the one that holds it."""
    root = find_root(root)
    records = [
        Record(bird.path, bird.label, "train" if bird.number <= LAST_TRAINING_CLASS else "test")
        for bird in read_birds(root, "cub200")
    ]
    dataset = ImageDataset("cub200", root, tuple(records), ("train", "test"), "test")
    images = root / "images.txt"
    return require_first_images(check_counts(dataset, counts, {"train": images, "test": images}))


def find_root(root: Path) -> Path:
    """The folder of the lists, which is `root` or the folder CUB_200_2011 in it."""
    inner = root / "CUB_200_2011"
    return inner if not (root / "images.txt").exists() and inner.is_dir() else root


def read_birds(root: Path, dataset: str) -> Iterator[Bird]:
    """Read the lists. dataset: whose reader asks, for messages. Raises DataError where they do not fit together."""
    images, labels, classes = (
        require_file(root / name, dataset) for name in ("images.txt", "image_class_labels.txt", "classes.txt")
    )
    names = {whole_number(number, classes): name for number, name in read_columns(classes, 2)}
    class_of = {image: whole_number(number, labels) for image, number in read_columns(labels, 2)}
    for image, path in read_columns(images, 2):
        number = class_of.get(image)
        if number is None:
            raise DataError(f"{labels}: image {image} of {images.name} has no class")
        if number not in names:
            raise DataError(f"{classes}: class {number} of image {image} has no name")
        yield Bird(image, root / "images" / path, number, names[number])
