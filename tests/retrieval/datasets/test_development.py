"""The two small sets of real photos, where they are."""

import pytest

from retrieval.datasets import ImageDataset, default_root, open_dataset
from retrieval.datasets.dataset import decoding_error


def opened(name: str) -> ImageDataset:
    if not default_root(name).is_dir():
        pytest.skip(f"data set {name} is not on this machine (looked in {default_root(name)})")
    return open_dataset(name)


@pytest.mark.parametrize(("name", "images", "classes"), [("cars196_dev", 4_052, 98), ("grocery", 5_421, 81)])
def test_the_splits_share_no_class(name: str, images: int, classes: int) -> None:
    dataset = opened(name)
    train, validation, everything = (dataset.subset(split) for split in ("train", "validation", "all"))
    assert len(train) + len(validation) == len(everything) == images
    assert len(everything.classes) == classes
    assert set(train.classes).isdisjoint(validation.classes)
    assert dataset.default_split == "validation"
    assert all(decoding_error(path) is None for path in everything.paths[::400])


def test_cars_are_split_at_class_49() -> None:
    dataset = opened("cars196_dev")
    assert {int(path.parent.name) for path in dataset.subset("train").paths} == set(range(1, 50))
    assert {int(path.parent.name) for path in dataset.subset("validation").paths} == set(range(50, 99))


def test_groceries_share_no_coarse_class() -> None:
    dataset = opened("grocery")
    coarse = {
        split: {record.attributes["coarse"] for record in dataset.subset(split).records}
        for split in ("train", "validation")
    }
    assert coarse["train"].isdisjoint(coarse["validation"])
    assert len(coarse["train"] | coarse["validation"]) == 43
