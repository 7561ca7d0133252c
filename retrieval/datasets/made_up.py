"""Made-up images in the layouts of the known data sets, lists and all, to try things out where the data are not.

What is written is read by the set's own reader, which has to be told the counts: `known.read(root, counts)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.datasets.cars196 import LAST_TRAINING_CLASS as LAST_CAR
from retrieval.datasets.cars196_dev import LAST_TRAINING_CLASS as LAST_DEV_CAR
from retrieval.datasets.counts import Count
from retrieval.datasets.cub200 import LAST_TRAINING_CLASS as LAST_BIRD
from retrieval.datasets.sop import COUNTS as PRODUCTS

SIZE = (250, 200)
"""Width and height of an image: as large as the smaller ones of the real sets of photos."""

SMALL = (32, 32)
"""The same of CIFAR's."""


def write_made_up(name: str, root: Path, counts: Mapping[str, Count]) -> None:
    """Write a small set in the layout of the known data set `name` into the empty folder `root`.

    counts: of each of the set's splits, and no more classes than the real split has, the same number of them in each
    where the real splits share theirs; a split's images are dealt to its classes in turn. Each class has a colour, so
    that a network tells it from others a little better than chance.
    Raises KeyError for a set without a layout here.
    """
    LAYOUTS[name](root, counts)


def _cub200(root: Path, counts: Mapping[str, Count], test_after: int = LAST_BIRD) -> None:
    images, labels, flags = [], [], []
    classes: dict[int, str] = {}
    number = 0
    for split, before in (("train", 0), ("test", test_after)):
        for bird, shots in _classes(counts[split], before):
            classes[bird] = f"{bird} {bird:03d}.Made_up_Bird"
            for shot in range(shots):
                number += 1
                path = f"{bird:03d}.Made_up_Bird/Made_Up_Bird_{shot:04d}_{number}.jpg"
                images.append(f"{number} {path}")
                labels.append(f"{number} {bird}")
                flags.append(f"{number} {split == 'train':d}")
                _write_image(root / "images" / path, bird, number)
    lists = {"images": images, "image_class_labels": labels, "train_test_split": flags}
    for file, lines in {**lists, "classes": [*classes.values()]}.items():
        _write_lines(root / f"{file}.txt", lines)


def _cub200_classes(root: Path, counts: Mapping[str, Count]) -> None:
    _cub200(root, counts, test_after=0)


def _cars196(root: Path, counts: Mapping[str, Count]) -> None:
    # scipy takes a while to import, and only this set needs it.
    from scipy.io import savemat

    rows: list[tuple[str | int, ...]] = []
    for split, before in (("train", 0), ("test", LAST_CAR)):
        for car, shots in _classes(counts[split], before):
            for _ in range(shots):
                path = f"car_ims/{len(rows) + 1:06d}.jpg"
                rows.append((path, 1, 1, *SIZE, car, 0))
                _write_image(root / path, car, len(rows))
    fields = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    annotations = np.array([rows], dtype=[(field, "O") for field in fields])
    names = np.array([[f"Made-up Car {car}" for car in range(1, 2 * LAST_CAR + 1)]], dtype=object)
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names})


def _sop(root: Path, counts: Mapping[str, Count]) -> None:
    number = 0
    for split, before in (("train", 0), ("test", PRODUCTS["train"].classes)):
        lines = ["image_id class_id super_class_id path"]
        for product, shots in _classes(counts[split], before):
            for shot in range(shots):
                number += 1
                path = f"bicycle_final/{product:012d}_{shot}.JPG"
                lines.append(f"{number} {product} 1 {path}")
                _write_image(root / path, product, number)
        _write_lines(root / f"Ebay_{split}.txt", lines)


def _inshop(root: Path, counts: Mapping[str, Count]) -> None:
    """Queries and gallery are of the same items."""
    lines = []
    for split, before in (("train", 0), ("query", 4000), ("gallery", 4000)):
        for item, shots in _classes(counts[split], before):
            for shot in range(shots):
                path = f"img/WOMEN/Dresses/id_{item:08d}/{split}_{shot}_front.jpg"
                lines.append(f"{path} id_{item:08d} {split}")
                _write_image(root / path, item, len(lines))
    headings = [str(len(lines)), "image_name item_id evaluation_status"]
    _write_lines(root / "Eval" / "list_eval_partition.txt", [*headings, *lines])


def _cars196_dev(root: Path, counts: Mapping[str, Count]) -> None:
    lines = []
    for split, before in (("train", 0), ("validation", LAST_DEV_CAR)):
        for car, shots in _classes(counts[split], before):
            lines.append(f"{car:03d}\tMade-up Car {car}")
            for shot in range(shots):
                _write_image(root / f"{car:03d}" / f"{shot:05d}.jpg", car, shot)
    _write_lines(root / "classes.txt", lines)


def _grocery(root: Path, counts: Mapping[str, Count]) -> None:
    """Coarse classes go to the splits in turn by name, so there is one for each split."""
    lines = ["Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int)"]
    for coarse, (split, before) in enumerate((("train", 0), ("validation", counts["train"].classes))):
        for fruit, shots in _classes(counts[split], before):
            lines.append(f"Made-up-Fruit-{fruit},{fruit},Coarse-{coarse},{coarse}")
            for shot in range(shots):
                _write_image(root / f"{fruit:02d}" / f"{split}_{shot:03d}.jpg", fruit, shot)
    _write_lines(root / "classes.csv", lines)


def _cifar(root: Path, counts: Mapping[str, Count]) -> None:
    _class_folders(root, {split: split for split in counts}, counts, SMALL)


def _imagenet(root: Path, counts: Mapping[str, Count]) -> None:
    _class_folders(root, {"train": "train", "test": "val"}, counts, SIZE)


def _mit67(root: Path, counts: Mapping[str, Count]) -> None:
    number = 0
    for split, file in (("train", "TrainImages.txt"), ("test", "TestImages.txt")):
        lines = []
        for room, shots in _classes(counts[split], 0):
            for _ in range(shots):
                number += 1
                lines.append(f"room_{room:02d}/{number:04d}.jpg")
                _write_image(root / "Images" / lines[-1], room, number)
        _write_lines(root / file, lines)


LAYOUTS: Mapping[str, Callable[[Path, Mapping[str, Count]], None]] = {
    "cub200": _cub200,
    "cars196": _cars196,
    "sop": _sop,
    "inshop": _inshop,
    "cars196_dev": _cars196_dev,
    "grocery": _grocery,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "mit67": _mit67,
    "cub200_classes": _cub200_classes,
    "imagenet": _imagenet,
}


def _class_folders(
    root: Path, folders: Mapping[str, str], counts: Mapping[str, Count], size: tuple[int, int]
) -> None:
    number = 0
    for split, folder in folders.items():
        for thing, shots in _classes(counts[split], 0):
            for _ in range(shots):
                number += 1
                _write_image(root / folder / f"n{thing:08d}" / f"{number:05d}.JPEG", thing, number, size)


def _classes(count: Count, before: int) -> Iterator[tuple[int, int]]:
    """Number and images of each class of a split; the numbers follow `before`."""
    each, more = divmod(count.images, count.classes)
    for position in range(count.classes):
        yield before + 1 + position, each + (position < more)


def _write_image(path: Path, label: int, number: int, size: tuple[int, int] = SIZE) -> None:
    """A few blots around the colour of the class."""
    colour = np.random.default_rng(label).integers(60, 196, 3)
    blots = np.random.default_rng((label, number)).integers(-60, 60, (5, 6, 3))
    image = Image.fromarray((colour + blots).astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize(size, Image.Resampling.BICUBIC).save(path, "JPEG", quality=80)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
