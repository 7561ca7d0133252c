"""CIFAR-10 and CIFAR-100 as folders, on trees of a few files."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.datasets import DATASETS, open_dataset
from retrieval.datasets.class_folders import read_class_folders
from retrieval.datasets.counts import Count
from retrieval.errors import DataError

COUNTS = {"train": Count(3, 2), "test": Count(2, 2)}
FOLDERS = {"train": "train", "test": "test"}


def fill(root: Path, *names: str) -> None:
    """Files without content: only their names are read."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    fill(
        tmp_path, "train/cat/2.jpg", "train/cat/1.png", "train/ant/9.jpg", "test/cat/1.jpg", "test/ant/1.jpg"
    )
    fill(tmp_path, "train/cat/notes.txt", "train/.hidden/1.jpg", "train/readme.md")
    return tmp_path


def test_folders_give_labels_and_splits(tree: Path) -> None:
    dataset = read_class_folders("toy", tree, FOLDERS, COUNTS)
    train, test = dataset.subset("train"), dataset.subset("test")
    assert [path.relative_to(tree).as_posix() for path in train.paths] == [
        "train/ant/9.jpg",
        "train/cat/1.png",
        "train/cat/2.jpg",
    ]
    assert train.labels.tolist() == [0, 1, 1]
    assert train.classes == test.classes == ("ant", "cat")
    assert (dataset.default_split, len(test)) == ("test", 2)


def test_classes_must_be_in_both_splits(tree: Path) -> None:
    (tree / "test" / "cat").rename(tree / "test" / "cow")
    with pytest.raises(DataError, match="class 'cat' of toy is not in every split"):
        read_class_folders("toy", tree, FOLDERS, COUNTS)


def test_a_missing_folder_and_a_wrong_count_are_named(tree: Path) -> None:
    fill(tree, "test/cat/2.jpg")
    with pytest.raises(
        DataError, match=f"{tree / 'test'}: split 'test' of toy must have 2 images of 2 classes"
    ):
        read_class_folders("toy", tree, FOLDERS, COUNTS)
    with pytest.raises(DataError, match=f"{tree / 'val'} is missing"):
        read_class_folders("toy", tree, {"train": "train", "test": "val"}, COUNTS)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_has_its_published_counts(name: str, tree: Path) -> None:
    known = DATASETS[name]
    assert [str(count) for count in known.counts.values()] == [
        f"50,000 images of {name.removeprefix('cifar')} classes",
        f"10,000 images of {name.removeprefix('cifar')} classes",
    ]
    assert known.read(tree, COUNTS).name == name
    with pytest.raises(DataError, match="must have 50,000 images"):
        open_dataset(name, tree)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("data_batch_1.bin",), "hdhe data unpack-cifar {root} DIR"),
        (("cifar-100-binary/train.bin",), "hdhe data unpack-cifar {root}/cifar-100-binary DIR"),
        (("cifar-10-batches-py/data_batch_1",), "pickles, which are not read"),
        (("train", "meta"), "pickles, which are not read"),
    ],
)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_packed_cifar_says_how_to_unpack_it(
    name: str, files: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    fill(tmp_path, *files)
    with pytest.raises(DataError, match=message.format(root=tmp_path)) as caught:
        open_dataset(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_an_archive_that_lies_beside_the_folders_is_no_matter(tree: Path) -> None:
    fill(tree, "data_batch_1.bin", "cifar-10-batches-py/data_batch_1")
    assert len(DATASETS["cifar10"].read(tree, COUNTS).records) == 5
