"""A large index file is mapped: opened without being read, searched, written beside, and read through afterwards."""

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from indexes import index_file, index_upkeep, parse_filter
from indexes.index_file import INDEX_NAME, read_index_header
from indexes.index_kinds import KINDS
from indexes.local_collection import LocalCollection
from indexes.mapped_payload import MappedPayload
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D, N = 16, 1500
QUERIES = unit_vectors(20, D, seed=4)
NAMES = [name for name in KINDS if name not in ("ivfpq", "cagra")]


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "MAPPED_FROM", 0)


def filled(folder: Path, index: str) -> LocalCollection:
    collection = LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT, index=index)
    collection.upsert(items(N, D))
    collection.optimise()
    return collection


def ids(collection: LocalCollection, k: int = 10) -> list[list[str]]:
    return [[hit.id for hit in hits] for hits in collection.search(QUERIES, k)]


@pytest.mark.parametrize("index", NAMES)
def test_it_answers_as_in_memory_and_takes_writes(tmp_path: Path, index: str) -> None:
    with filled(tmp_path, index) as collection:
        expected = ids(collection)
    with LocalCollection.open(tmp_path) as collection:
        assert collection._index.in_use.mapping is not None
        assert collection.stats().index_kind == index
        assert ids(collection) == expected
        collection.delete([str(i) for i in range(0, 300, 3)])
        collection.upsert(items(60, D, seed=8, prefix="new "))
        collection.upsert(items(30, D, seed=9, prefix="new "))
        new = unit_vectors(30, D, seed=9)
        assert [row[0].id for row in collection.search(new, 1)] == [f"new {i}" for i in range(30)]
        everything = sorted(ids(collection, 2000)[0])
        left = [str(i) for i in range(N) if i >= 300 or i % 3] + [f"new {i}" for i in range(60)]
        assert everything == sorted(left)
        assert collection._index.in_use.newcomers == 60
        odd = collection.search(QUERIES, 2000, parse_filter({"attributes": {"even": False}}))
        assert sorted(hit.id for hit in odd[0]) == sorted(id for id in left if int(id.split()[-1]) % 2)
        assert collection.check().ok
        expected = ids(collection)
    # What came since is in the file beside the rest, and is there again.
    assert read_index_header(tmp_path / INDEX_NAME).indexes == 2
    with LocalCollection.open(tmp_path) as collection:
        assert collection._index.in_use.newcomers == 60
        assert ids(collection) == expected
        assert collection.check().ok


def test_many_newcomers_are_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_upkeep, "_FEWEST_NEWCOMERS", 100)
    filled(tmp_path, "hnsw").close()
    with LocalCollection.open(tmp_path) as collection:
        collection.delete(["3", "4"])
        collection.upsert(items(200, D, seed=8, prefix="new "))
        deadline = time.monotonic() + 30
        while collection._index.in_use.mapping is not None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert collection._index.in_use.newcomers == 0
        assert collection.count() == len(collection._index) == N + 198
        assert collection.check().ok
    monkeypatch.setattr(index_file, "MAPPED_FROM", 1 << 40)
    with LocalCollection.open(tmp_path) as collection:
        assert len(collection._index) == N + 198
        assert collection.check().ok


def test_a_file_with_newcomers_that_is_read_and_not_mapped_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, "hnsw").close()
    with LocalCollection.open(tmp_path) as collection:
        collection.upsert(items(50, D, seed=8, prefix="new "))
        expected = ids(collection)
    monkeypatch.setattr(index_file, "MAPPED_FROM", 1 << 40)
    with LocalCollection.open(tmp_path) as collection:
        assert collection._index.in_use.mapping is None
        assert collection._index.in_use.newcomers == 0
        assert ids(collection) == expected
        assert collection.check().ok


@pytest.mark.parametrize("read_only", [False, True])
def test_damage_in_the_middle_is_found_while_it_is_searched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, read_only: bool
) -> None:
    with filled(tmp_path, "flat") as collection:
        expected = ids(collection)
    path = tmp_path / INDEX_NAME
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 64
    path.write_bytes(whole)
    with LocalCollection.open(tmp_path, read_only=read_only) as collection:
        deadline = time.monotonic() + 30
        while not collection._index.state.sound or collection._upkeep.running:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert ids(collection) == expected
        assert collection._index.in_use.mapping is None
    assert "its checksum does not match" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_check_reads_it_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.index_upkeep.due", lambda _: None)
    filled(tmp_path, "flat").close()
    path = tmp_path / INDEX_NAME
    whole = path.read_bytes()
    # The lowest bit of one number: still a vector of length 1, and far from where anything else would notice.
    path.write_bytes(whole[:-8000] + bytes([whole[-8000] ^ 1]) + whole[-7999:])
    with LocalCollection.open(tmp_path, read_only=True) as collection:
        (problem,) = collection.check().problems
        assert problem == "index file: its checksum does not match; the next start builds it anew"
        assert collection.check().problems == (problem,)


def test_what_is_seen_at_once_is_refused_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with filled(tmp_path, "flat") as collection:
        expected = ids(collection)
    path = tmp_path / INDEX_NAME
    path.write_bytes(path.read_bytes()[:-1])
    with LocalCollection.open(tmp_path) as collection:
        assert ids(collection) == expected
        assert collection._index.in_use.mapping is None
    assert "cut short" in caplog.text


def test_the_checksum_is_that_of_all_bytes_and_can_be_given_up(tmp_path: Path) -> None:
    import hashlib

    data = np.arange(10_000, dtype=np.uint8)
    path = tmp_path / "payload"
    path.write_bytes(b"head" + data.tobytes())
    digest = hashlib.blake2b(data.tobytes(), digest_size=32).digest()
    mapped = MappedPayload.of(path, 4, len(data), digest)
    assert mapped.is_whole(lambda: None)
    assert not MappedPayload.of(path, 3, len(data), digest).is_whole(lambda: None)

    def give_up() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        mapped.is_whole(give_up)
