import errno
import os
import resource
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from indexes.faiss_index import FaissIndex
from indexes.index_file import (
    IndexFileError,
    IndexHeader,
    read_index_file,
    read_index_header,
    write_index_file,
)
from indexes.index_kinds import KINDS
from tests.indexes.unit_vectors import FINGERPRINT, unit_vectors

N, D = 700, 16
NAMES = [name for name in KINDS if name not in ("ivfpq", "cagra")]
HEADER = IndexHeader("c" * 32, FINGERPRINT, D, "flat", 0, 123, N, N, N, {10: 1.0}, depth=2)


def written(path: Path, name: str = "flat") -> tuple[IndexHeader, FaissIndex]:
    vectors = unit_vectors(N, D)
    index = FaissIndex.build(KINDS[name], D, vectors, [(np.arange(N), vectors)], items=N)
    header = replace(HEADER, kind=name, effort=2 * index.kind.visited)
    write_index_file(path, header, index)
    return header, index


@pytest.mark.parametrize("name", NAMES)
def test_reads_what_was_written(tmp_path: Path, name: str) -> None:
    header, index = written(tmp_path / "i", name)
    found_header, found = read_index_file(tmp_path / "i", header.collection)
    assert found_header == header == read_index_header(tmp_path / "i")
    assert found.kind == KINDS[name]
    queries = unit_vectors(5, D, seed=1)
    for a, b in zip(*(i.search(queries, 10, i.kind.width) for i in (found, index)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert list(tmp_path.iterdir()) == [tmp_path / "i"]


def test_every_damaged_byte_is_noticed_before_faiss_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "i"
    header, _ = written(path)
    whole = path.read_bytes()
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("FAISS was given unverified bytes"))
    positions = [*range(600), *range(600, len(whole), 997), len(whole) - 1]
    for at in positions:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(IndexFileError):
            read_index_file(path, header.collection)
    for length in [0, 1, 7, 8, 12, 44, 300, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(IndexFileError):
            read_index_file(path, header.collection)
    path.write_bytes(whole + b"\0")
    with pytest.raises(IndexFileError, match="appended"):
        read_index_file(path, header.collection)


def test_missing_foreign_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="missing"):
        read_index_file(tmp_path / "i", "c" * 32)
    with pytest.raises(IndexFileError, match="missing"):
        read_index_header(tmp_path / "i")
    written(tmp_path / "i")
    with pytest.raises(IndexFileError, match="another collection"):
        read_index_file(tmp_path / "i", "d" * 32)
    with pytest.raises(IndexFileError, match="cannot be read"):
        read_index_file(tmp_path, "c" * 32)


def test_a_payload_that_faiss_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, _ = written(tmp_path / "i")

    def refuse(*_: object) -> None:
        raise RuntimeError("Error in read_index: unknown fourcc\nsecond line")

    monkeypatch.setattr(faiss, "read_index", refuse)
    with pytest.raises(IndexFileError, match=r"FAISS cannot read it: Error in read_index: unknown fourcc$"):
        read_index_file(tmp_path / "i", header.collection)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "i"
    written(path)
    before = path.read_bytes()

    def crash(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        written(path, "sq8")
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "i"
    written(path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError) as refusal:  # noqa: PT011 - the number is checked below
            written(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
