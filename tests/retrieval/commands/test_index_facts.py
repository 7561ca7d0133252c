"""Facts of a collection as a person reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from indexes.collection import CollectionStats
from retrieval.commands.index_facts import readable_bytes, stats_lines

STATS = CollectionStats(
    items=1440,
    labels=60,
    sequence=1440,
    embedding_size=3072,
    model_fingerprint="ab12",
    index_kind="flat",
    index_on_gpu=False,
    index_recall={10: 1.0, 100: 0.99754},
    bytes_on_disk=12_897_485,
)


def test_no_value_is_one_of_python() -> None:
    lines = [" ".join(line.split()) for line in stats_lines(STATS)]
    assert lines == [
        "items 1,440",
        "labels 60",
        "sequence 1,440",
        "embedding size 3,072",
        "model fingerprint ab12",
        "index kind flat",
        "index on gpu no",
        "recall@10 1.0",
        "recall@100 0.9975",
        "size on disk 12.3 MiB",
    ]


def test_a_recall_that_was_never_measured_is_said_to_be_so() -> None:
    lines = stats_lines(replace(STATS, index_recall={}, index_on_gpu=True))
    assert "index recall       not measured" in lines
    assert "index on gpu       yes" in lines


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 42, "20,480.0 GiB"),
    ],
)
def test_bytes_have_a_unit(count: int, said: str) -> None:
    assert readable_bytes(count) == said
