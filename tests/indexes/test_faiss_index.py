import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from indexes.exact_search import NO_KEY, exact_search
from indexes.faiss_index import FaissIndex
from indexes.gpu_placement import gpu_memory, gpus, has_cagra
from indexes.index_file import IndexHeader, read_index_file, write_index_file
from indexes.index_kinds import KINDS
from indexes.search_width import SearchWidth
from tests.indexes.unit_vectors import unit_vectors

ROOT = Path(__file__).parents[2]
N, D = 1500, 16
NAMES = tuple(name for name in KINDS if name != "cagra")
WHOLE = tuple(
    (name, refined) for name in NAMES for refined in (False, True) if KINDS[name].lossy or not refined
)


def wide(index: FaissIndex, times: int = 4) -> SearchWidth:
    return SearchWidth(times * index.kind.visited)


def built(
    name: str, n: int = N, gpu: bool | None = False, *, refined: bool = False
) -> tuple[FaissIndex, NDArray[np.int64], NDArray[np.float32]]:
    vectors = unit_vectors(n, D)
    # Keys that are neither dense nor ordered like the vectors.
    keys = np.random.default_rng(3).permutation(10 * n)[:n].astype(np.int64)
    index = FaissIndex.build(KINDS[name], D, vectors, [(keys, vectors)], items=n, refined=refined, gpu=gpu)
    return index, keys, vectors


@pytest.mark.parametrize(("name", "refined"), WHOLE)
def test_finds_what_exact_search_finds(name: str, refined: bool) -> None:
    index, keys, vectors = built(name, refined=refined)
    queries = unit_vectors(50, D, seed=9)
    # Lossy kinds are asked for spare candidates, which the collection re-ranks.
    _, found = index.search(queries, index.candidates(10, wide(index)), wide(index))
    _, true = exact_search(queries, [(keys, vectors)], 10)
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), true.tolist(), strict=True)])
    assert shared == 1 if name == "flat" else shared > 0.9
    assert len(index) == N
    assert index.keys().tolist() == sorted(keys.tolist())


@pytest.mark.parametrize(("name", "refined"), [(n, r) for n, r in WHOLE if r or not KINDS[n].lossy])
def test_scores_are_inner_products_best_first(name: str, refined: bool) -> None:
    index, keys, vectors = built(name, refined=refined)
    assert index.exact_scores
    queries = unit_vectors(4, D, seed=9)
    scores, found = index.search(queries, 20, wide(index))
    row = {int(key): vector for key, vector in zip(keys, vectors, strict=True)}
    expected = [
        [float(row[key] @ query) for key in near] for query, near in zip(queries, found.tolist(), strict=True)
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_its_length_is_never_that_of_a_removal_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    index, keys, _ = built("flat")
    dropped, go_on = Event(), Event()
    remove_ids = index._index.remove_ids

    def slow(dead: NDArray[np.int64]) -> int:
        count = int(remove_ids(dead))
        dropped.set()
        go_on.wait(10)
        return count

    monkeypatch.setattr(index._index, "remove_ids", slow)
    remover = Thread(target=index.remove, args=(keys[:1000],))
    remover.start()
    assert dropped.wait(10)
    lengths: list[int] = []
    reader = Thread(target=lambda: lengths.append(len(index)))
    reader.start()
    reader.join(0.2)
    go_on.set()
    remover.join()
    reader.join()
    assert lengths == [N - 1000]


@pytest.mark.parametrize(("name", "refined"), WHOLE)
@pytest.mark.parametrize("removed", [10, 400])
def test_removed_keys_are_gone_and_the_rest_is_found(name: str, refined: bool, removed: int) -> None:
    index, keys, _ = built(name, refined=refined)
    index.remove(keys[:removed])
    scores, found = index.search(unit_vectors(3, D, seed=9), N, index.kind.width)
    for row in found.tolist():
        assert sorted(row[: N - removed]) == sorted(keys[removed:].tolist())
        assert row[N - removed :] == [NO_KEY] * removed
    assert np.isneginf(scores[:, N - removed :]).all()
    assert len(index) == N - removed
    assert index.keys().tolist() == sorted(keys[removed:].tolist())


def test_removed_neighbours_of_a_query_make_room_for_the_next() -> None:
    index, keys, vectors = built("flat")
    query = unit_vectors(1, D, seed=9)
    order = np.argsort(-(vectors.astype(np.float64) @ query[0]))
    index.remove(np.sort(keys[order[:12]]))
    _, found = index.search(query, 5, index.kind.width)
    assert found[0].tolist() == keys[order[12:17]].tolist()


@pytest.mark.parametrize(("name", "refined"), WHOLE)
def test_added_vectors_are_found(name: str, refined: bool) -> None:
    index, _, _ = built(name, refined=refined)
    new = unit_vectors(300, D, seed=5)
    index.add(np.arange(300) + 10 * N, new)
    assert len(index) == N + 300
    _, found = index.search(new, index.candidates(10, wide(index)), wide(index))
    hit = (found == (np.arange(300) + 10 * N)[:, None]).any(axis=1)
    assert hit.mean() > 0.95


@pytest.mark.parametrize(("name", "refined"), WHOLE)
def test_k_beyond_what_is_there(name: str, refined: bool) -> None:
    index, _, _ = built(name, refined=refined)
    _, found = index.search(unit_vectors(2, D, seed=9), N + 10, index.kind.width)
    assert (found != NO_KEY).sum(axis=1).tolist() == [N, N]
    assert found.shape == (2, N + 10)


def test_empty() -> None:
    index = FaissIndex.empty(D)
    scores, keys = index.search(unit_vectors(2, D), 3, SearchWidth())
    assert keys.tolist() == [[NO_KEY] * 3] * 2
    assert np.isneginf(scores).all()
    assert len(index) == 0


@pytest.mark.parametrize(
    ("name", "refined"), [("flat", False), ("hnsw", False), ("sq8", True), ("ivf-sq8", True)]
)
def test_among_keys_is_exact(name: str, refined: bool) -> None:
    index, keys, vectors = built(name, refined=refined)
    assert index.keeps_floats
    index.remove(keys[:5])
    queries = unit_vectors(6, D, seed=9)
    chosen = slice(5, 60)
    # Keys that are removed, or that never were in it, may be among them.
    scores, found = index.search_among(queries, 20, np.sort(np.append(keys[:60], 10**9)))
    true_scores, true = exact_search(queries, [(keys[chosen], vectors[chosen])], 20)
    assert found.tolist() == true.tolist()
    np.testing.assert_allclose(scores, true_scores, atol=1e-6)
    assert (index.search_among(queries, 2, np.empty(0, np.int64))[1] == NO_KEY).all()
    assert not built("sq8")[0].keeps_floats
    assert not built("hnsw-sq8")[0].keeps_floats


@pytest.mark.parametrize(("name", "refined"), WHOLE)
def test_what_is_removed_is_dropped_where_faiss_can(name: str, refined: bool) -> None:
    index, keys, _ = built(name, refined=refined)
    index.remove(keys[:300])
    drops = not refined and KINDS[name].structure != "graph"
    assert index.removes == drops
    assert index.dead == (0 if drops else 300)
    assert index.forget_removed() == drops


@pytest.mark.parametrize(("name", "refined"), WHOLE)
def test_searches_beside_changes(name: str, refined: bool) -> None:
    """Removed before the threads start, a key must never come back; what stays must always be found."""
    index, keys, vectors = built(name, refined=refined)
    index.remove(keys[:100])
    stop, wrong = Event(), list[str]()

    def search() -> None:
        while not stop.is_set():
            _, found = index.search(vectors[700:708], 5, index.kind.width)
            if np.isin(found, keys[:100]).any() or (found == NO_KEY).any():
                wrong.append(str(found))

    threads = [Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(40):
        index.add(np.arange(10) + 10 * N + 10 * i, unit_vectors(10, D, seed=i))
        index.remove(keys[100 + 10 * i : 110 + 10 * i])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == N - 100


@pytest.mark.skipif(gpus() > 0, reason="this machine has a GPU")
def test_without_a_gpu_everything_is_on_the_cpu() -> None:
    assert gpu_memory() is None
    assert not built("flat", gpu=None)[0].on_gpu


@pytest.mark.gpu
@pytest.mark.skipif(gpus() == 0, reason="FAISS sees no GPU")
@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name].on_gpu])
def test_gpu_equals_cpu(name: str) -> None:
    on_gpu, keys, _ = built(name, n=12_000, gpu=None)
    on_cpu, _, _ = built(name, n=12_000, gpu=False)
    assert on_gpu.on_gpu
    for index in (on_gpu, on_cpu):
        index.remove(keys[:2000])
    queries = unit_vectors(20, D, seed=9)
    (_, gpu_keys), (_, cpu_keys) = (i.search(queries, 10, wide(i, 8)) for i in (on_gpu, on_cpu))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(gpu_keys, cpu_keys, strict=True)]) > 0.9
    assert on_gpu.keys().tolist() == on_cpu.keys().tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not has_cagra(), reason="FAISS sees no GPU, or was built without cuVS")
def test_a_graph_made_on_the_gpu_is_searched_there_and_on_the_cpu(tmp_path: Path) -> None:
    on_gpu, keys, vectors = built("cagra", n=5000, gpu=None)
    assert on_gpu.on_gpu
    new = unit_vectors(10, D, seed=5)
    on_gpu.add(np.arange(10) + 10**6, new)
    on_gpu.remove(keys[:100])
    queries = unit_vectors(20, D, seed=9)
    everything = [(keys[100:], vectors[100:]), (np.arange(10) + 10**6, new)]
    _, true = exact_search(queries, everything, 10)
    _, found = on_gpu.search(queries, 10, SearchWidth(128))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]) > 0.9
    header = IndexHeader("c" * 32, "5" * 64, D, "cagra", 128, 1, len(on_gpu), 5000, 5000, {10: 1.0})
    write_index_file(tmp_path / "i", header, on_gpu)
    _, on_cpu = read_index_file(tmp_path / "i", header.collection, gpu=False)
    _, found = on_cpu.search(queries, 10, SearchWidth(128))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]) > 0.9


@pytest.mark.gpu
@pytest.mark.skipif(gpus() == 0, reason="FAISS sees no GPU")
def test_two_indexes_on_the_gpu_are_used_at_once() -> None:
    """As while one is built beside the one in use; FAISS allows it only one after the other."""
    index, keys, vectors = built("flat", n=20_000, gpu=None)
    stop, wrong = Event(), list[str]()

    def search() -> None:
        while not stop.is_set():
            _, found = index.search(vectors[:50], 1, SearchWidth())
            if found.ravel().tolist() != keys[:50].tolist():
                wrong.append(str(found))

    threads = [Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        built("ivf", n=20_000, gpu=None)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_it_searches_on_when_another_library_has_replaced_faiss_functions() -> None:
    """pytorch-metric-learning imports `faiss.contrib.torch_utils`, whose `search` takes no parameters and
    whose `reconstruct_n` gives tensors."""
    script = (
        "import faiss, faiss.contrib.torch_utils, numpy as np\n"
        "from indexes.faiss_index import FaissIndex\n"
        "from indexes.index_kinds import KINDS\n"
        "vectors, keys = np.eye(4, dtype=np.float32), np.arange(4)\n"
        "for kind in ('flat', 'hnsw'):\n"
        "    index = FaissIndex.build(KINDS[kind], 4, vectors, [(keys, vectors)], items=4, gpu=False)\n"
        "    index.add(np.array([9]), -vectors[:1])\n"
        "    found = index.search(vectors, 1, KINDS[kind].width)[1].ravel().tolist()\n"
        "    print(found, type(index.part(0)[1]).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout.split("\n")[:-1] == ["[0, 1, 2, 3] ndarray"] * 2, done.stderr
