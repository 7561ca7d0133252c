import pytest

from indexes.errors import CollectionError
from indexes.index_kinds import KINDS, check_choice, choose_kind, machine_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("items", "memory", "gpu", "kind"),
    [
        (0, 8 * GIB, None, "flat"),
        (20_000, 8 * GIB, None, "flat"),
        (60_502, 8 * GIB, None, "sq8"),
        (1_000_000, 8 * GIB, None, "sq8"),
        (2_000_000, 16 * GIB, None, "hnsw"),
        (2_000_000, 4 * GIB, None, "ivfpq"),
        (60_502, 40 << 20, None, "ivfpq"),
        (60_502, 8 * GIB, 8 * GIB, "flat"),
        (10_000_000, 8 * GIB, 8 * GIB, "ivfpq"),
    ],
)
def test_auto_goes_by_size_and_memory(items: int, memory: int, gpu: int | None, kind: str) -> None:
    assert choose_kind("auto", items, 512, memory=memory, gpu_memory=gpu).name == kind


@pytest.mark.parametrize("name", KINDS)
def test_a_named_kind_is_taken_once_it_can_be_trained(name: str) -> None:
    kind = KINDS[name]
    assert choose_kind(name, kind.fewest, 64, memory=GIB) == kind
    if kind.fewest:
        assert choose_kind(name, kind.fewest - 1, 64, memory=GIB).name == "flat"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(CollectionError, match=r"one of auto, flat, sq8, hnsw, ivf, ivfpq; got 'lsh'"):
        check_choice("lsh")


def test_memory_is_that_of_a_machine() -> None:
    assert 64 << 20 < machine_memory() < 1 << 50
