from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.datasets import Record, Subset, few_per_class
from retrieval.errors import DataError


def subset(**classes: int) -> Subset:
    """Records of the classes in turn, and a class `zebra` that has none."""
    records = [
        Record(Path(f"{label}/{number}.jpg"), label, "train")
        for number in range(max(classes.values()))
        for label, size in classes.items()
        if number < size
    ]
    return Subset.of("toy/train", records, {"zebra"})


def test_a_share_of_cifar_is_balanced() -> None:
    whole = subset(**{f"c{number}": 5000 for number in range(10)})
    for share, images in ((0.001, 5), (0.01, 50), (0.1, 500)):
        part = few_per_class(whole, share=share, seed=0)
        assert np.bincount(part.labels).tolist() == [images] * 10
        assert part.classes == whole.classes
    assert few_per_class(whole, share=1, seed=0).records == whole.records


def test_labels_and_order_stay_those_of_the_whole() -> None:
    whole = subset(cat=9, ant=4)
    part = few_per_class(whole, count=3, seed=1)
    assert [part.classes[label] for label in part.labels] == [record.label for record in part.records]
    places = [whole.records.index(record) for record in part.records]
    assert places == sorted(set(places))
    assert np.bincount(part.labels, minlength=3).tolist() == [3, 3, 0]


def test_every_class_keeps_an_image_and_gives_no_more_than_it_has() -> None:
    whole = subset(cat=40, ant=4)
    assert np.bincount(few_per_class(whole, share=0.05, seed=0).labels).tolist() == [1, 2]
    assert np.bincount(few_per_class(whole, count=30, seed=0).labels).tolist() == [4, 30]


def test_a_smaller_part_lies_in_a_larger_one_and_seeds_differ() -> None:
    whole = subset(cat=200, ant=100)
    few, more = (few_per_class(whole, share=share, seed=3) for share in (0.05, 0.2))
    assert set(few.paths) < set(more.paths)
    assert few.paths == few_per_class(whole, share=0.05, seed=3).paths
    assert set(few.paths) != set(few_per_class(whole, share=0.05, seed=4).paths)
    # Drawn from everywhere, not from the beginning.
    assert max(whole.paths.index(path) for path in more.paths) > 200


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"share": 0.0}, "above 0 and at most 1; got 0"),
        ({"share": 1.5}, "above 0 and at most 1; got 1.5"),
        ({"count": 0}, "toy/train has at most 9 images of a class; got 0"),
        ({"count": 10}, "at most 9 images of a class; got 10"),
    ],
)
def test_parts_that_cannot_be_are_refused(asked: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        few_per_class(subset(cat=9, ant=4), **asked, seed=0)  # type: ignore[arg-type]


def test_a_share_and_a_count_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="either share or count"):
        few_per_class(subset(cat=9), share=0.5, count=2, seed=0)
