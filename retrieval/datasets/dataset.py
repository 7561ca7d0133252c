"""What a data set is here: records of images with labels, in splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import DataError, ImageError
from retrieval.images import decode_image
from retrieval.left_out import left_out

Scalar = str | int | float | bool
Labels = np.ndarray[Any, np.dtype[np.int64]]

ALL = "all"
QUERY_GALLERY = "query/gallery"


@dataclass(frozen=True)
class Record:
    """One image: where it lies, its class, and the split that the data set puts it in."""

    path: Path
    label: str
    split: str
    attributes: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Subset:
    """Some records of a data set with their classes numbered.

    name: for people, as `cub200/test`.
    labels: int64[n], index of each record's class in `classes`.
    classes: labels in alphabetical order; there may be some that no record has, see
        `ImageDataset.query_gallery`.
    """

    name: str
    records: tuple[Record, ...]
    labels: Labels
    classes: tuple[str, ...]

    @classmethod
    def of(cls, name: str, records: Sequence[Record], classes: Iterable[str] | None = None) -> Subset:
        """Number the classes of `records`; `classes` adds labels that other records have."""
        names = tuple(sorted({record.label for record in records} | set(classes or ())))
        index = {label: number for number, label in enumerate(names)}
        labels = np.array([index[record.label] for record in records], dtype=np.int64)
        return cls(name, tuple(records), labels, names)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def paths(self) -> list[Path]:
        """Paths of the images, in the order of the records."""
        return [record.path for record in self.records]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Records and the splits they can be asked for.

    root: folder that the paths lie in.
    split_names: what `subset` takes, beside `all`.
    default_split: the split that is scored; `query/gallery` stands for the two splits `query` and `gallery`.
    problems: one line for each file that was left out because it cannot be read.
    """

    name: str
    root: Path
    records: tuple[Record, ...]
    split_names: tuple[str, ...]
    default_split: str
    problems: tuple[str, ...] = ()

    def subset(self, split: str) -> Subset:
        """Records of one split; `all` gives every record. Raises DataError for a split that is not there."""
        if split not in (*self.split_names, ALL):
            raise DataError(
                f"{self.name} has no split {split!r}; choose one of {', '.join(self.split_names)}"
            )
        chosen = [record for record in self.records if split in (ALL, record.split)]
        if not chosen:
            raise DataError(f"split {split!r} of {self.name} holds no images")
        return Subset.of(f"{self.name}/{split}", chosen)

    def query_gallery(self) -> tuple[Subset, Subset]:
        """Splits `query` and `gallery` with one numbering of the classes of both."""
        query, gallery = self.subset("query"), self.subset("gallery")
        classes = {*query.classes, *gallery.classes}
        return (
            Subset.of(query.name, query.records, classes),
            Subset.of(gallery.name, gallery.records, classes),
        )


def holdout_classes(subset: Subset, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """Split by class, so that the second part can stand for classes that training never saw.

    fraction: share of the classes that is held out, at least one and at most all but one of them.
    Returns (rest, held out), each with its own numbering of classes. Raises DataError below two classes.
    """
    if not 0 < fraction < 1:
        raise DataError(f"the share of classes to hold out must lie between 0 and 1; got {fraction}")
    present = np.unique(subset.labels)
    if len(present) < 2:
        raise DataError(f"{subset.name} has {len(present)} class; holding classes out needs two or more")
    count = min(max(round(fraction * len(present)), 1), len(present) - 1)
    chosen = np.random.default_rng(seed).permutation(present)[:count]
    held = np.isin(subset.labels, chosen)
    parts = [
        [record for record, is_held in zip(subset.records, held, strict=True) if is_held == wanted]
        for wanted in (False, True)
    ]
    return Subset.of(f"{subset.name}-rest", parts[0]), Subset.of(f"{subset.name}-held-out", parts[1])


def alternate_classes(labels: Iterable[str]) -> dict[str, str]:
    """Split names by class for a set that has no splits of its own: train, validation, train, ... by name."""
    return {
        label: "train" if number % 2 == 0 else "validation"
        for number, label in enumerate(sorted(set(labels)))
    }


def keep_readable(subset: Subset, report: Callable[[str], None], *, threads: int = 2) -> Subset:
    """Decode every image; drop those that cannot be decoded, each reported as one line.

    Classes that lose all their images disappear. Raises DataError if no image is left.
    """
    with ThreadPoolExecutor(threads) as pool:
        errors = list(pool.map(decoding_error, subset.paths))
    for error in errors:
        if error is not None:
            report(left_out(error))
    kept = [record for record, error in zip(subset.records, errors, strict=True) if error is None]
    if not kept:
        raise DataError(f"none of the {len(subset)} images of {subset.name} can be decoded")
    return Subset.of(subset.name, kept)


def decoding_error(path: Path) -> str | None:
    """Why the image cannot be decoded, on one line, or None if it can."""
    try:
        # A fast decode at reduced size still reads the file to its end.
        decode_image(path, at_least=32)
    except ImageError as error:
        return str(error)
    return None
