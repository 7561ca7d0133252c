"""Opening, locking, and a disk that does not do as it should."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from indexes.collection import NewItem
from indexes.errors import CollectionError, CollectionLockedError, ForeignModelError, StorageError
from indexes.index_file import INDEX_NAME
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 8
QUERIES = unit_vectors(3, D, seed=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a closed collection with 40 items."""
    with LocalCollection.create(
        tmp_path / "c", embedding_size=D, model_fingerprint=FINGERPRINT
    ) as collection:
        collection.upsert(items(40, D))
    return tmp_path / "c"


def test_creating_where_one_is_and_opening_where_none_is(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="a collection is there already"):
        LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT)
    for open_it in (LocalCollection.open, LocalCollection.info):
        with pytest.raises(CollectionError, match="no collection is there; make one with `hdhe index build`"):
            open_it(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made"):
        LocalCollection.create(tmp_path / "file", embedding_size=D, model_fingerprint=FINGERPRINT)
    with pytest.raises(CollectionError, match="embedding_size must be 1 to 65536; got 0"):
        LocalCollection.create(tmp_path / "new", embedding_size=0, model_fingerprint=FINGERPRINT)
    with pytest.raises(CollectionError, match="index must be one of"):
        LocalCollection.create(
            tmp_path / "new", embedding_size=D, model_fingerprint=FINGERPRINT, index="best"
        )


def test_a_folder_may_hold_other_things_and_half_a_creation(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    # What a crash at the very beginning leaves behind.
    (tmp_path / DATABASE_NAME).write_bytes(b"")
    with pytest.raises(CollectionError, match="no collection is there"):
        LocalCollection.open(tmp_path)
    with LocalCollection.create(tmp_path, embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        assert collection.count() == 0


def test_another_model_is_refused(folder: Path) -> None:
    with pytest.raises(ForeignModelError, match="filled by model 555555555555, not 777777777777") as refusal:
        LocalCollection.open(folder, model_fingerprint="7" * 64)
    assert "\n" not in str(refusal.value)
    with LocalCollection.open(folder, model_fingerprint=FINGERPRINT) as collection:
        assert collection.model_fingerprint == FINGERPRINT


def test_one_writer(folder: Path) -> None:
    with LocalCollection.open(folder), pytest.raises(CollectionLockedError, match="open for writing"):
        LocalCollection.open(folder)
    with pytest.raises(CollectionLockedError), LocalCollection.open(folder):
        LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT)
    with LocalCollection.open(folder):
        pass


def test_readers_beside_the_writer_see_its_writes(folder: Path) -> None:
    with LocalCollection.open(folder) as writer, LocalCollection.open(folder, read_only=True) as reader:
        assert reader.search(QUERIES, 10) == writer.search(QUERIES, 10)
        writer.upsert(items(20, D, seed=7, prefix="new "))
        writer.delete([str(i) for i in range(30)])
        assert reader.search(QUERIES, 100) == writer.search(QUERIES, 100)
        assert reader.count() == LocalCollection.info(folder).items == 30
        assert reader.check().ok
        with pytest.raises(CollectionError, match="read-only; nothing was written"):
            reader.upsert(items(1, D))
        with pytest.raises(CollectionError, match="read-only; nothing was written"):
            reader.delete(["0"])
        before = (folder / INDEX_NAME).read_bytes()
        reader.close()
        assert (folder / INDEX_NAME).read_bytes() == before


def test_another_process_reads(folder: Path) -> None:
    code = (
        "import sys; from indexes import LocalCollection\n"
        "with LocalCollection.open(sys.argv[1], read_only=True) as c: print(c.count(), c.stats().index_kind)"
    )
    with LocalCollection.open(folder) as writer:
        writer.delete(["3"])
        output = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
        )
    assert output.stdout == "39 flat\n"


def test_info_reads_no_vectors(folder: Path) -> None:
    info = LocalCollection.info(folder)
    with LocalCollection.open(folder) as collection:
        stats = collection.stats()
    assert (info.items, info.labels, info.sequence, info.index_kind) == (40, 5, 40, "flat")
    assert (info.index_recall, info.model_fingerprint) == (stats.index_recall, FINGERPRINT)
    (folder / INDEX_NAME).write_bytes(b"damaged")
    assert LocalCollection.info(folder).index_kind == "none"


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Root may write anywhere, so a read-only folder needs another user; the tests of a container run as root."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


@pytest.fixture
def read_only_folder(folder: Path) -> Iterator[Path]:
    # Beside the temporary folder of pytest, which only its owner may enter.
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    copy = home / "c"
    shutil.copytree(folder, copy)
    for path in copy.iterdir():
        path.chmod(0o444)
    copy.chmod(0o555)
    yield copy
    copy.chmod(0o755)
    shutil.rmtree(home)


def test_a_read_only_folder(read_only_folder: Path, as_nobody: None) -> None:
    with LocalCollection.open(read_only_folder, read_only=True) as collection:
        assert len(collection.search(QUERIES, 50)[0]) == 40
        assert collection.check().ok
    assert LocalCollection.info(read_only_folder).items == 40
    with pytest.raises(StorageError, match=r"cannot be written \(Permission denied\); open it read-only"):
        LocalCollection.open(read_only_folder)
    with pytest.raises(StorageError, match="cannot be made"):
        LocalCollection.create(read_only_folder / "new", embedding_size=D, model_fingerprint=FINGERPRINT)
    with (
        LocalCollection.open(read_only_folder, read_only=True) as collection,
        pytest.raises(StorageError, match="it was not written"),
    ):
        collection.snapshot(read_only_folder / "copy")


def full_disk(collection: LocalCollection) -> None:
    """From now on SQLite may not make its file longer, and says SQLITE_FULL as it does on a full disk."""
    writer = collection._rows.database._writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_database_loses_nothing_and_recovers(folder: Path) -> None:
    with LocalCollection.open(folder) as collection:
        before = collection.search(QUERIES, 50)
        full_disk(collection)
        big = [NewItem(item.id, item.vector, thumbnail=bytes(100_000)) for item in items(50, D, seed=6)]
        with pytest.raises(StorageError, match="the disk is full; free some space") as refusal:
            collection.upsert(big)
        assert "\n" not in str(refusal.value)
        assert collection.search(QUERIES, 50) == before
        assert collection.count() == 40
        assert collection.delete(["0"]) == [True]
        assert collection._rows.database._writer is not None
        collection._rows.database._writer.execute("PRAGMA max_page_count = 1000000")
        collection.upsert(big)
        assert collection.check().ok
        assert collection.count() == 50


def test_a_disk_that_refuses_to_grow_files(folder: Path) -> None:
    """RLIMIT_FSIZE makes every write beyond a size fail, of the log, the database and the index alike."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LocalCollection.open(folder) as collection:
        collection.delete(["0"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, hard))
        try:
            acknowledged = 0

            def write_until_refused() -> None:
                nonlocal acknowledged
                while acknowledged < 200:
                    collection.upsert([NewItem(f"n{acknowledged}", QUERIES[0], thumbnail=bytes(5000))])
                    acknowledged += 1

            with pytest.raises(StorageError, match="the disk") as refusal:
                write_until_refused()
            with pytest.raises(StorageError):
                collection.snapshot(folder.parent / "copy")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "\n" not in str(refusal.value)
        assert not (folder.parent / "copy").exists()
        assert collection.count() == 39 + acknowledged
        assert collection.check().ok
        collection.upsert(items(1, D))
    with LocalCollection.open(folder) as collection:
        assert collection.count() == 40 + acknowledged
        assert collection.check().ok


def test_an_index_that_cannot_be_saved_is_no_loss(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("indexes.derived_index.write_index_file", no_space)
        with LocalCollection.open(folder) as collection:
            collection.upsert(items(10, D, prefix="new "))
    assert "the index is not saved" in caplog.text
    with LocalCollection.open(folder) as collection:
        assert collection.count() == 50
        assert collection.check().ok


def test_damaged_databases_are_named(folder: Path) -> None:
    path = folder / DATABASE_NAME
    whole = path.read_bytes()
    for content in (b"not a database at all" * 100, whole[:100], whole[:-16_384]):
        path.write_bytes(content)
        with (
            pytest.raises(StorageError, match="damaged") as refusal,
            LocalCollection.open(folder) as collection,
        ):
            collection.page()
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_every_damaged_page_is_reported_or_harmless(folder: Path) -> None:
    """Never another exception than StorageError, and never a collection that looks whole and is not."""
    path = folder / DATABASE_NAME
    whole = path.read_bytes()
    page = 16_384
    with LocalCollection.open(folder, read_only=True) as collection:
        expected = collection.page(), collection.vectors([str(i) for i in range(40)]).tobytes()
    noticed = 0
    for start in range(0, len(whole), page):
        path.write_bytes(whole[:start] + bytes(page) + whole[start + page :])
        try:
            with LocalCollection.open(folder, read_only=True) as collection:
                if collection.check().ok:
                    again = collection.page(), collection.vectors([str(i) for i in range(40)]).tobytes()
                    assert again == expected
                else:
                    noticed += 1
        except CollectionError:
            noticed += 1
    assert noticed >= 5, "settings, clock, items, their indexes and vectors each have a page"


def test_damaged_vectors_are_found_by_a_check(folder: Path) -> None:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    connection.execute(
        "UPDATE vectors SET vector = ? WHERE sequence = 7", [np.full(D, 3, np.float32).tobytes()]
    )
    connection.commit()
    connection.close()
    with LocalCollection.open(folder) as collection:
        report = collection.check()
    assert not report.ok
    assert any("1 vectors are damaged" in problem for problem in report.problems)


def test_a_database_of_a_later_format(folder: Path) -> None:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    connection.execute("UPDATE settings SET value = '99' WHERE name = 'format'")
    connection.commit()
    connection.close()
    with pytest.raises(CollectionError, match="format 99 is not the format 1 of this version"):
        LocalCollection.open(folder)


def test_every_commit_is_synced(folder: Path) -> None:
    with LocalCollection.open(folder) as collection:
        writer = collection._rows.database._writer
        assert writer is not None
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


def test_a_snapshot_while_writing_is_of_one_moment(folder: Path, tmp_path: Path) -> None:
    """Items are written in pairs; no snapshot may have half of one."""
    vectors = unit_vectors(2, D)
    with LocalCollection.open(folder) as collection:
        stop = Event()

        def write() -> None:
            i = 0
            while not stop.is_set():
                collection.upsert([NewItem("left", vectors[0], str(i)), NewItem("right", vectors[1], str(i))])
                i += 1

        thread = Thread(target=write)
        thread.start()
        try:
            for i in range(5):
                sequence = collection.snapshot(tmp_path / f"s{i}")
                with LocalCollection.open(tmp_path / f"s{i}") as copy:
                    left, right = copy.get(["left", "right"])
                    assert (left and left.label) == (right and right.label)
                    assert copy.stats().sequence == sequence
                    assert copy.check().ok
        finally:
            stop.set()
            thread.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "s0", "s1", "s2", "s3", "s4"]
