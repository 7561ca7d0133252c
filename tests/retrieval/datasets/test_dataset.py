from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.datasets import ImageDataset, Record, Subset, holdout_classes
from retrieval.errors import DataError


def records(*labels: str, split: str = "train") -> tuple[Record, ...]:
    return tuple(Record(Path(f"{number}.png"), label, split) for number, label in enumerate(labels))


def test_a_subset_numbers_its_classes_in_alphabetical_order() -> None:
    subset = Subset.of("x", records("b", "c", "a", "b"))
    assert subset.classes == ("a", "b", "c")
    assert subset.labels.dtype == np.int64
    assert subset.labels.tolist() == [1, 2, 0, 1]
    assert len(subset) == 4
    assert subset.paths[2] == Path("2.png")


def test_a_split_that_is_not_there_is_refused() -> None:
    dataset = ImageDataset("cups", Path(), records("a", "b"), ("train", "test"), "test")
    assert len(dataset.subset("train")) == 2
    with pytest.raises(DataError, match="cups has no split 'dev'; choose one of train, test"):
        dataset.subset("dev")
    with pytest.raises(DataError, match="split 'test' of cups holds no images"):
        dataset.subset("test")
    assert len(dataset.subset("all")) == 2


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40).filter(
        lambda labels: len(set(labels)) > 1
    ),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
)
def test_held_out_classes_are_disjoint_and_nothing_is_lost(
    labels: list[str], fraction: float, seed: int
) -> None:
    subset = Subset.of("x", records(*labels))
    rest, held = holdout_classes(subset, fraction, seed)
    assert not set(rest.classes) & set(held.classes)
    assert sorted(rest.paths + held.paths) == sorted(subset.paths)
    for part in (rest, held):
        assert part.classes
        assert [part.classes[label] for label in part.labels] == [record.label for record in part.records]
    again = holdout_classes(subset, fraction, seed)
    assert [part.paths for part in again] == [rest.paths, held.paths]


def test_about_the_share_asked_for_is_held_out_and_the_seed_matters() -> None:
    subset = Subset.of("x", records(*(f"{number:03d}" for number in range(100))))
    _, held = holdout_classes(subset, 0.2, 0)
    _, other = holdout_classes(subset, 0.2, 1)
    assert len(held.classes) == len(other.classes) == 20
    assert held.classes != other.classes


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        holdout_classes(Subset.of("x", records("a", "b")), fraction, 0)


def test_one_class_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="x has 1 class"):
        holdout_classes(Subset.of("x", records("a", "a")), 0.5, 0)
