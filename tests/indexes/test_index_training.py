"""New indexes."""

from indexes.index_kinds import KINDS
from indexes.index_training import training_size


def test_training_sizes_are_bounded() -> None:
    assert training_size(KINDS["flat"], 10**6) == 0
    assert training_size(KINDS["sq8"], 300) == 300
    assert training_size(KINDS["ivf"], 10**6) < 300_000
