from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.datasets import ALL, DATASETS
from retrieval.datasets.counts import Count
from retrieval.datasets.dataset import decoding_error
from retrieval.datasets.made_up import LAYOUTS, write_made_up
from retrieval.errors import DataError


def small(name: str) -> dict[str, Count]:
    """Other counts in each split, and images that cannot be dealt evenly."""
    if DATASETS[name].shared_classes:
        return {"train": Count(7, 3), "test": Count(5, 3)}
    sizes = {"train": Count(7, 3), "query": Count(2, 2), "gallery": Count(5, 2)}
    return {split: sizes.get(split, Count(5, 2)) for split in DATASETS[name].counts}


@pytest.mark.parametrize("name", list(DATASETS))
def test_each_sets_own_reader_reads_it(name: str, tmp_path: Path) -> None:
    counts = small(name)
    write_made_up(name, tmp_path, counts)
    dataset = DATASETS[name].read(tmp_path, counts)
    for split, count in counts.items():
        subset = dataset.subset(split)
        assert (len(subset), len(subset.classes)) == (count.images, count.classes)
    assert [decoding_error(path) for path in dataset.subset(ALL).paths] == [None] * len(dataset.records)
    assert len(set(dataset.subset(ALL).paths)) == len(dataset.records)
    if "query" in counts:
        assert dataset.subset("query").classes == dataset.subset("gallery").classes
    elif DATASETS[name].shared_classes:
        assert dataset.subset("train").classes == dataset.subset("test").classes
    else:
        train, other = (set(dataset.subset(split).classes) for split in counts)
        assert not train & other


@pytest.mark.parametrize("name", list(DATASETS))
def test_it_is_not_taken_for_the_real_set(name: str, tmp_path: Path) -> None:
    write_made_up(name, tmp_path, small(name))
    with pytest.raises(DataError, match="must have"):
        DATASETS[name].read(tmp_path)


def test_every_known_set_has_a_layout() -> None:
    assert set(LAYOUTS) == set(DATASETS)
