"""The published sets, in their authors' layouts, on trees of a few images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from retrieval.datasets import (
    DATASETS,
    ImageDataset,
    cars196,
    cub200,
    cub200_classes,
    imagenet,
    inshop,
    mit67,
    open_dataset,
    sop,
)
from retrieval.datasets.counts import Count
from retrieval.errors import DataError


def write_images(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)


def make_cub(root: Path) -> None:
    """Two images of each of classes 1, 100 and 101; the ids are not in order of the classes."""
    names = {1: "001.Black_footed_Albatross", 100: "100.Brown_Pelican", 101: "101.White_Pelican"}
    images = [(number, f"{names[number]}/{shot}.jpg") for shot in (1, 2) for number in (101, 1, 100)]
    write_images(*(root / "images" / path for _, path in images))
    (root / "images.txt").write_text("".join(f"{i} {path}\n" for i, (_, path) in enumerate(images, 1)))
    (root / "image_class_labels.txt").write_text("".join(f"{i} {n}\n" for i, (n, _) in enumerate(images, 1)))
    (root / "classes.txt").write_text("".join(f"{number} {name}\n" for number, name in names.items()))
    # For classification; must make no difference.
    (root / "train_test_split.txt").write_text("".join(f"{i} {i % 2}\n" for i in range(1, 7)))


def make_cars(root: Path, classes: tuple[int, ...] = (1, 98, 99, 196)) -> None:
    """Two images a class, of which the classification flag puts one in each split."""
    fields = [("relative_im_path", "O"), ("bbox_x1", "O"), ("class", "O"), ("test", "O")]
    rows = [(f"car_ims/{n:03d}{flag}.jpg", 1, n, flag) for n in classes for flag in (0, 1)]
    names = np.array([f"Car {n}" for n in range(1, 197)], dtype=object)
    savemat(
        root / "cars_annos.mat", {"annotations": np.array([rows], dtype=fields), "class_names": names[None]}
    )
    write_images(*(root / row[0] for row in rows))


def make_sop(root: Path) -> None:
    for split, classes in (("train", (1, 2)), ("test", (11319,))):
        lines = ["image_id class_id super_class_id path"]
        for shot, number in enumerate(number for number in classes for _ in range(2)):
            path = f"bicycle_final/{number}_{shot}.JPG"
            write_images(root / path)
            lines.append(f"{shot + 1} {number} 1 {path}")
        (root / f"Ebay_{split}.txt").write_text("\n".join(lines) + "\n")


def make_inshop(root: Path, partition: str = "Eval/list_eval_partition.txt", images: str = "") -> None:
    rows = [
        ("img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "id_00000002", "train"),
        ("img/WOMEN/Dresses/id_00000002/02_2_side.jpg", "id_00000002", "train"),
        ("img/MEN/Denim/id_00000080/01_1_front.jpg", "id_00000080", "query"),
        ("img/MEN/Denim/id_00000080/01_2_side.jpg", "id_00000080", "gallery"),
    ]
    write_images(*(root / images / path for path, _, _ in rows))
    (root / partition).parent.mkdir(exist_ok=True)
    lines = [str(len(rows)), "image_name item_id evaluation_status", *("   ".join(row) for row in rows)]
    (root / partition).write_text("\n".join(lines) + "\n")


def make_mit(root: Path) -> None:
    """Two photos a class and list; the test list is of the same classes, and a third photo is in neither."""
    for name, shots in (("TrainImages.txt", (1, 2)), ("TestImages.txt", (3, 4))):
        paths = [f"{room}/a room {shot}.jpg" for room in ("bar", "attic") for shot in shots]
        write_images(*(root / "Images" / path for path in (*paths, "bar/unused.jpg")))
        # The authors' lists end their lines as on Windows, and the last one not at all.
        (root / name).write_text("\r\n".join(paths))


def make_imagenet(root: Path) -> None:
    for folder, shots in (("train", 2), ("val", 1)):
        names = [f"{wnid}/{wnid}_{shot}.JPEG" for wnid in ("n02", "n01") for shot in range(shots)]
        write_images(*(root / folder / name for name in names))


CUB = {"train": Count(4, 2), "test": Count(2, 1)}
CARS = {"train": Count(4, 2), "test": Count(4, 2)}
SOP = {"train": Count(4, 2), "test": Count(2, 1)}
CUB_CLASSES = {"train": Count(3, 3), "test": Count(3, 3)}
MIT = {"train": Count(4, 2), "test": Count(4, 2)}
IMAGENET = {"train": Count(4, 2), "test": Count(2, 2)}
INSHOP = {"train": Count(2, 1), "query": Count(1, 1), "gallery": Count(1, 1)}


def labels(dataset: ImageDataset, split: str) -> list[str]:
    return [record.label for record in dataset.subset(split).records]


def test_the_table_has_the_published_counts() -> None:
    totals = {name: sum(count.images for count in known.counts.values()) for name, known in DATASETS.items()}
    assert totals["cub200"] == 11_788
    assert totals["cars196"] == 16_185
    assert totals["sop"] == 120_053
    assert totals["inshop"] == 52_712
    classes = {
        name: sum(count.classes for count in known.counts.values()) for name, known in DATASETS.items()
    }
    # The published totals: CUB's 11,788 images again, 80 and 20 photos a room, and the challenge of 2012.
    assert (totals["cub200_classes"], totals["mit67"], totals["imagenet"]) == (11_788, 67 * 100, 1_331_167)
    assert (classes["cub200"], classes["cars196"], classes["sop"]) == (200, 196, 22_634)
    assert classes["inshop"] == 3_997 + 2 * 3_985  # of 7,982 items


@pytest.mark.parametrize("nested", ["", "CUB_200_2011"])
def test_cub_is_split_at_class_100(tmp_path: Path, nested: str) -> None:
    root = tmp_path / nested
    root.mkdir(exist_ok=True)
    make_cub(root)
    dataset = cub200.read(tmp_path, CUB)
    assert sorted(set(labels(dataset, "train"))) == ["001.Black_footed_Albatross", "100.Brown_Pelican"]
    assert labels(dataset, "test") == ["101.White_Pelican"] * 2
    assert all(
        record.path.parent.name == record.label and record.path.is_file() for record in dataset.records
    )
    assert dataset.default_split == "test"


def test_cars_are_split_at_class_98_whatever_the_flag_says(tmp_path: Path) -> None:
    make_cars(tmp_path)
    dataset = cars196.read(tmp_path, CARS)
    assert labels(dataset, "train") == ["Car 1", "Car 1", "Car 98", "Car 98"]
    assert labels(dataset, "test") == ["Car 99", "Car 99", "Car 196", "Car 196"]
    assert [path.name for path in dataset.subset("test").paths][:2] == ["0990.jpg", "0991.jpg"]


def test_products_are_split_by_their_lists(tmp_path: Path) -> None:
    make_sop(tmp_path)
    dataset = sop.read(tmp_path, SOP)
    assert labels(dataset, "train") == ["00001", "00001", "00002", "00002"]
    assert labels(dataset, "test") == ["11319", "11319"]
    assert dataset.records[0].attributes == {"kind": "bicycle"}
    assert dataset.records[0].path == tmp_path / "bicycle_final/1_0.JPG"


@pytest.mark.parametrize("partition", ["Eval/list_eval_partition.txt", "list_eval_partition.txt"])
@pytest.mark.parametrize("images", ["", "Img"])
def test_in_shop_has_queries_and_a_gallery(tmp_path: Path, partition: str, images: str) -> None:
    make_inshop(tmp_path, partition, images)
    dataset = inshop.read(tmp_path, INSHOP)
    query, gallery = dataset.query_gallery()
    assert (len(query), len(gallery)) == (1, 1)
    assert query.classes == gallery.classes == ("id_00000080",)
    assert all(record.path.is_file() for record in dataset.records)
    assert dataset.default_split == "query/gallery"


@pytest.mark.parametrize("nested", ["", "CUB_200_2011"])
def test_birds_are_classified_by_the_authors_split(tmp_path: Path, nested: str) -> None:
    root = tmp_path / nested
    root.mkdir(exist_ok=True)
    make_cub(root)
    # Ids 1 to 6 are of classes 101, 1, 100, 101, 1, 100.
    flags = {1: 1, 2: 0, 3: 0, 4: 0, 5: 1, 6: 1}
    (root / "train_test_split.txt").write_text("".join(f"{i} {flag}\n" for i, flag in flags.items()))
    dataset = cub200_classes.read(tmp_path, CUB_CLASSES)
    assert [path.parent.name[:3] + path.name for path in dataset.subset("train").paths] == [
        "1011.jpg",
        "0012.jpg",
        "1002.jpg",
    ]
    assert dataset.subset("train").classes == dataset.subset("test").classes
    (root / "train_test_split.txt").write_text("1 1\n2 yes\n")
    with pytest.raises(DataError, match=r"train_test_split.txt: image 2 must have 1 \(training\) or 0"):
        cub200_classes.read(tmp_path, CUB_CLASSES)


def test_rooms_are_those_of_the_lists(tmp_path: Path) -> None:
    make_mit(tmp_path)
    dataset = mit67.read(tmp_path, MIT)
    assert labels(dataset, "train") == ["bar", "bar", "attic", "attic"]
    assert dataset.subset("test").paths[3] == tmp_path / "Images" / "attic" / "a room 4.jpg"
    assert all(record.path.is_file() and record.path.stem != "unused" for record in dataset.records)
    (tmp_path / "TestImages.txt").write_text("bar/a room 3.jpg\nattic.jpg\n")
    with pytest.raises(DataError, match="CLASS/IMAGE expected, 'attic"):
        mit67.read(tmp_path, MIT)


def test_imagenet_is_scored_on_its_validation_images(tmp_path: Path) -> None:
    make_imagenet(tmp_path)
    dataset = imagenet.read(tmp_path, IMAGENET)
    assert labels(dataset, "test") == ["n01", "n02"]
    assert dataset.subset("test").paths[0] == tmp_path / "val" / "n01" / "n01_0.JPEG"
    assert dataset.subset("train").classes == ("n01", "n02")


@pytest.mark.parametrize(
    ("make", "read", "counts", "split", "source"),
    [
        (make_cub, cub200.read, CUB, "test", "images.txt"),
        (make_cars, cars196.read, CARS, "train", "cars_annos.mat"),
        (make_sop, sop.read, SOP, "test", "Ebay_test.txt"),
        (make_inshop, inshop.read, INSHOP, "gallery", "list_eval_partition.txt"),
        (make_cub, cub200_classes.read, CUB_CLASSES, "train", "train_test_split.txt"),
        (make_mit, mit67.read, MIT, "test", "TestImages.txt"),
        (make_imagenet, imagenet.read, IMAGENET, "test", "val"),
    ],
)
def test_a_wrong_count_names_the_file_and_both_counts(
    tmp_path: Path,
    make: Callable[[Path], None],
    read: Callable[[Path, dict[str, Count]], ImageDataset],
    counts: dict[str, Count],
    split: str,
    source: str,
) -> None:
    make(tmp_path)
    found = counts[split]
    expected = Count(found.images + 1, found.classes)
    with pytest.raises(DataError) as caught:
        read(tmp_path, {**counts, split: expected})
    message = str(caught.value)
    assert source in message
    assert f"must have {expected}" in message
    assert f"but {found} are there" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("make", "read", "counts", "missing"),
    [
        (make_cub, cub200.read, CUB, "image_class_labels.txt"),
        (make_cub, cub200.read, CUB, "images/101.White_Pelican/1.jpg"),
        (make_cars, cars196.read, CARS, "cars_annos.mat"),
        (make_sop, sop.read, SOP, "Ebay_train.txt"),
        (make_inshop, inshop.read, INSHOP, "Eval/list_eval_partition.txt"),
        (make_cub, cub200_classes.read, CUB_CLASSES, "train_test_split.txt"),
        (make_mit, mit67.read, MIT, "TrainImages.txt"),
        (make_mit, mit67.read, MIT, "Images/bar/a room 3.jpg"),
    ],
)
def test_a_missing_file_is_named(
    tmp_path: Path,
    make: Callable[[Path], None],
    read: Callable[[Path, dict[str, Count]], ImageDataset],
    counts: dict[str, Count],
    missing: str,
) -> None:
    make(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match=f"{missing} is missing"):
        read(tmp_path, counts)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("images.txt", "1\n", "line 1: 2 columns expected, 1 found"),
        ("images.txt", "77 001.Black_footed_Albatross/1.jpg\n", "image 77 of images.txt has no class"),
        ("image_class_labels.txt", "1 one\n", "a number expected, 'one' found"),
        ("classes.txt", "1 001.Black_footed_Albatross\n", "has no name"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path: Path, name: str, text: str, why: str) -> None:
    make_cub(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=why):
        cub200.read(tmp_path, CUB)


def test_damaged_or_other_matlab_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cars_annos.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        cars196.read(tmp_path, CARS)
    savemat(tmp_path / "cars_annos.mat", {"annotations": np.zeros(3)})
    with pytest.raises(DataError, match="is not the list of all images"):
        cars196.read(tmp_path, CARS)


def test_an_unknown_split_of_in_shop_is_refused(tmp_path: Path) -> None:
    make_inshop(tmp_path)
    with pytest.raises(DataError, match=r"split of img/.* must be one of train, query; got 'gallery'"):
        inshop.read(tmp_path, {split: INSHOP[split] for split in ("train", "query")})


@pytest.mark.parametrize("name", list(DATASETS))
def test_a_known_set_that_is_absent_says_where_it_belongs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HDHE_DATA", str(tmp_path))
    folder = tmp_path / ("cub200" if name == "cub200_classes" else name)
    with pytest.raises(DataError, match=f"data set {name} is not at {folder}; unpack it there"):
        open_dataset(name)
    folder.mkdir()
    with pytest.raises(DataError, match="is missing"):
        open_dataset(name)
