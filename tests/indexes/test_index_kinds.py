import pytest

from indexes.index_kinds import KINDS, bytes_per_item, choose_kind, keeps_vectors, machine_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("items", "memory", "gpu", "kind"),
    [
        (0, 4 * GIB, None, "flat"),
        (20_000, 4 * GIB, None, "flat"),
        (60_502, 4 * GIB, None, "sq8"),
        (1_000_000, 4 * GIB, None, "sq8"),
        (2_000_000, 8 * GIB, None, "hnsw"),
        (2_000_000, 2 * GIB, None, "hnsw-sq8"),
        (2_000_000, 1 * GIB, None, "ivf-rabitq"),
        (60_502, 20 << 20, None, "ivf-rabitq"),
        (60_502, 4 * GIB, 4 * GIB, "flat"),
        (3_000_000, 4 * GIB, 4 * GIB, "fp16"),
        (10_000_000, 4 * GIB, 4 * GIB, "ivf-rabitq"),
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


def test_vectors_are_kept_beside_lossy_codes_where_there_is_room() -> None:
    # A byte a dimension for the code, four for the vector, 16 for keys.
    assert bytes_per_item(KINDS["sq8"], 512, refined=True) == 5 * 512 + 16
    assert keeps_vectors(KINDS["sq8"], 1000, 512, memory=1000 * (5 * 512 + 16))
    assert not keeps_vectors(KINDS["sq8"], 1000, 512, memory=1000 * (5 * 512 + 15))
    assert not keeps_vectors(KINDS["hnsw"], 1000, 512, memory=GIB), "it has them anyway"


def test_memory_is_that_of_a_machine() -> None:
    assert 64 << 20 < machine_memory() < 1 << 50
