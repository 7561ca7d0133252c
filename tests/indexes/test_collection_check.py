"""A check finds what does not agree, proves what does, and lets writes go on meanwhile."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from indexes.faiss_index import FaissIndex
from indexes.index_file import INDEX_NAME
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 16


def filled(folder: Path, n: int, index: str = "flat") -> LocalCollection:
    collection = LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT, index=index)
    collection.upsert(items(n, D))
    collection.optimise()
    return collection


def change_vector(folder: Path, sequence: int, vector: np.ndarray) -> None:
    """Behind the collection's back, as a failing disk does it: a vector of length 1, but another."""
    with sqlite3.connect(folder / DATABASE_NAME) as connection:
        connection.execute("UPDATE vectors SET vector = ? WHERE sequence = ?", [vector.tobytes(), sequence])
    connection.close()


@pytest.mark.parametrize("kind", ["flat", "sq8", "hnsw", "ivf"])
def test_every_vector_is_compared(tmp_path: Path, kind: str) -> None:
    filled(tmp_path, 900, kind).close()
    for open_again in (1, 2):
        with LocalCollection.open(tmp_path) as collection:
            assert collection.stats().index_kind == kind
            collection.delete([str(number) for number in range(0, 900, 9 * open_again)])
            collection.upsert(items(40, D, seed=3 + open_again))
            assert collection.check().problems == ()
            count = collection.count()
    other = unit_vectors(1, D, seed=77)[0]
    change_vector(tmp_path, 500, other)
    change_vector(tmp_path, 502, other)
    with LocalCollection.open(tmp_path, read_only=True) as collection:
        report = collection.check()
    assert report.items == report.indexed == count
    assert [problem for problem in report.problems if "vectors are not those" in problem] == [
        "index: 2 of its vectors are not those of the rows; `hdhe index rebuild` makes it anew"
    ]
    with LocalCollection.open(tmp_path) as collection:
        collection.rebuild()
        assert collection.check().ok


@pytest.mark.slow
def test_product_codes_are_compared(tmp_path: Path) -> None:
    with filled(tmp_path, 12_000, "ivfpq") as collection:
        collection.upsert(items(300, D, seed=5, prefix="later "))
        collection.delete([str(number) for number in range(100)])
        assert collection.check().problems == ()
    change_vector(tmp_path, 5000, -unit_vectors(12_000, D)[4999])
    with LocalCollection.open(tmp_path, read_only=True) as collection:
        (problem,) = collection.check().problems
    assert problem.startswith("index: 1 of its vectors")


def test_missing_and_surplus_keys(tmp_path: Path) -> None:
    with filled(tmp_path, 300) as collection:
        index = collection._index.in_use
        index.remove(np.array([7, 8]))
        index.add(np.array([5000]), unit_vectors(1, D))
        problems = collection.check().problems
    assert problems[:2] == ("index: 2 items are missing from it", "index: it holds 1 vectors without an item")


def test_an_unusable_index_file_is_told_and_left_alone(tmp_path: Path) -> None:
    filled(tmp_path, 300).close()
    path = tmp_path / INDEX_NAME
    damaged = path.read_bytes()[:-1]
    path.write_bytes(damaged)
    with LocalCollection.open(tmp_path, read_only=True) as collection:
        (problem,) = collection.check().problems
    assert problem == "index file: it is cut short or has something appended; the next start builds it anew"
    assert path.read_bytes() == damaged
    LocalCollection.open(tmp_path).close()
    with LocalCollection.open(tmp_path, read_only=True) as collection:
        assert collection.check().ok


def test_beside_a_writer_every_check_is_of_one_moment(tmp_path: Path) -> None:
    """In the writing process and beside it; deletions move vectors in the index while it is read."""
    stop = Event()
    with filled(tmp_path, 3000) as collection, LocalCollection.open(tmp_path, read_only=True) as reader:

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                collection.upsert(items(25, D, seed=number, prefix=f"{number} "))
                collection.delete([f"{number - 3} {i}" for i in range(25)])
                collection.delete([str(i) for i in range(60 * number, 60 * number + 60)])

        thread = Thread(target=write)
        thread.start()
        try:
            reports = [each.check() for _ in range(5) for each in (collection, reader)]
        finally:
            stop.set()
            thread.join()
    assert [report.problems for report in reports] == [()] * 10
    assert len({report.sequence for report in reports}) > 5


def test_writes_do_not_wait_for_the_long_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on = Event(), Event()
    part = FaissIndex.part

    def slow_part(index: FaissIndex, number: int) -> object:
        reading.set()
        assert go_on.wait(20)
        return part(index, number)

    with filled(tmp_path, 300) as collection:
        monkeypatch.setattr(FaissIndex, "part", slow_part)
        found: list[tuple[str, ...]] = []
        thread = Thread(target=lambda: found.append(collection.check().problems))
        thread.start()
        assert reading.wait(20)
        collection.upsert(items(10, D, prefix="meanwhile "))
        collection.delete(["3"])
        go_on.set()
        thread.join()
    assert found == [()]
