"""Snapshots from this process and another, by what they say of themselves."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexes.collection_snapshot import copy_files, describe
from indexes.errors import CollectionError, StorageError
from indexes.index_file import INDEX_NAME
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from indexes.new_folder import new_folder
from indexes.snapshot_manifest import MANIFEST_NAME, checked_manifest
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 8
QUERIES = unit_vectors(5, D, seed=4)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[LocalCollection]:
    with LocalCollection.create(tmp_path / "c", embedding_size=D, model_fingerprint=FINGERPRINT) as opened:
        opened.upsert(items(200, D))
        opened.delete(["3", "4"])
        yield opened


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_of_the_files_beside_the_writer(collection: LocalCollection, tmp_path: Path) -> None:
    collection.optimise()
    collection.upsert(items(20, D, seed=5, prefix="new "))  # in the rows and not in the index file
    with new_folder(tmp_path / "copy") as folder:
        copy_files(tmp_path / "c", folder)
        manifest = describe(folder)
    assert (manifest.sequence, manifest.items) == (collection.stats().sequence, 218)
    assert checked_manifest(tmp_path / "copy") == manifest
    with LocalCollection.open(tmp_path / "copy") as copy:
        assert copy.name != collection.name
        assert copy.check().ok
        assert copy.search(QUERIES, 30) == collection.search(QUERIES, 30)
    assert not list(tmp_path.glob(".copy-*"))


def test_a_copy_needs_neither_faiss_nor_the_index_in_memory(
    collection: LocalCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.optimise()
    monkeypatch.setattr("faiss.read_index", lambda *_: pytest.fail("the index was loaded"))
    (tmp_path / "copy").mkdir()
    copy_files(tmp_path / "c", tmp_path / "copy")
    monkeypatch.undo()
    with LocalCollection.open(tmp_path / "copy", read_only=True) as copy:
        assert copy.check().ok


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_an_index_file_that_is_of_no_use_is_left_out(
    collection: LocalCollection, tmp_path: Path, damage: str
) -> None:
    collection.optimise()
    path = tmp_path / "c" / INDEX_NAME
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5] + b"wrong")
    (tmp_path / "copy").mkdir()
    copy_files(tmp_path / "c", tmp_path / "copy")
    assert not (tmp_path / "copy" / INDEX_NAME).exists()
    with LocalCollection.open(tmp_path / "copy") as copy:
        assert copy.check().ok


def test_a_full_disk_leaves_nothing(collection: LocalCollection, tmp_path: Path) -> None:
    for write in (
        lambda: collection.snapshot(tmp_path / "copy"),
        lambda: copy_files(tmp_path / "c", tmp_path),
    ):
        with full_disk(20_000), pytest.raises(StorageError) as refusal:
            write()
        assert "\n" not in str(refusal.value)
        assert not (tmp_path / "copy").exists()
    assert not list(tmp_path.glob(".copy-*"))
    assert collection.check().ok
    assert collection.snapshot(tmp_path / "copy") == collection.stats().sequence


def test_of_a_damaged_database_no_snapshot_is_made(tmp_path: Path) -> None:
    path = tmp_path / "c" / DATABASE_NAME
    with LocalCollection.create(tmp_path / "c", embedding_size=D, model_fingerprint=FINGERPRINT) as opened:
        opened.upsert(items(5000, D))
    content = bytearray(path.read_bytes())
    middle = len(content) // 16_384 // 2 * 16_384
    content[middle : middle + 16_384] = bytes(16_384)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged") as refusal, new_folder(tmp_path / "copy") as folder:
        copy_files(tmp_path / "c", folder)
    assert str(refusal.value).startswith(str(path)), "the damaged file is named, not the copy"
    assert not (tmp_path / "copy").exists()


def test_what_is_there_is_not_overwritten(collection: LocalCollection, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("")
    (tmp_path / "file").write_text("")
    for name in ("full", "file"):
        with pytest.raises(CollectionError, match="something is there already"):
            collection.snapshot(tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["something"]


def test_every_changed_byte_is_refused(collection: LocalCollection, tmp_path: Path) -> None:
    snapshot = tmp_path / "copy"
    sequence = collection.snapshot(snapshot)
    assert checked_manifest(snapshot).sequence == sequence
    for name in (DATABASE_NAME, INDEX_NAME):
        whole = (snapshot / name).read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            (snapshot / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(StorageError, match=f"{name}: it is not as it was"):
                checked_manifest(snapshot)
        (snapshot / name).unlink()
        with pytest.raises(StorageError, match=f"{name}: it cannot be read"):
            checked_manifest(snapshot)
        (snapshot / name).write_bytes(whole)
    checked_manifest(snapshot)
    (snapshot / f"{DATABASE_NAME}-wal").write_bytes(b"a log is part of its database")
    with pytest.raises(StorageError, match="not as it was"):
        checked_manifest(snapshot)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no snapshot is there"),
        ("", "damaged"),
        ("[1]", "damaged"),
        ("{}", "damaged"),
        (json.dumps({"format": 1, "sequence": 3}), "damaged"),
        (json.dumps({"format": 2}), "another version"),
    ],
)
def test_a_manifest_that_cannot_be_used(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / MANIFEST_NAME).write_text(content)
    with pytest.raises(CollectionError, match=message) as refusal:
        checked_manifest(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_killed_snapshot_has_not_appeared(collection: LocalCollection, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from indexes.new_folder import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x'); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "copy"], check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "copy").exists()
    assert len(list(tmp_path.glob(".copy-*"))) == 1, "it may be deleted, and is in nobody's way"
    collection.snapshot(tmp_path / "copy")
    assert checked_manifest(tmp_path / "copy").items == 198
