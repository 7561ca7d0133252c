"""What deleted items leave is given back, beside searches, and whatever happens nothing is lost."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from indexes.collection import NewItem
from indexes.errors import CollectionError, StorageError
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from tests.indexes.same_hits import assert_same_hits
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 16
QUERIES = unit_vectors(5, D, seed=4)


def with_gaps(folder: Path, index: str = "flat") -> LocalCollection:
    """Half of 1,500 items with thumbnails is left."""
    collection = LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT, index=index)
    for start in range(0, 1500, 500):
        collection.upsert(
            [
                NewItem(item.id, item.vector, item.label, item.attributes, bytes(3000))
                for item in items(1500, D)[start : start + 500]
            ]
        )
    collection.optimise()
    collection.delete([str(number) for number in range(1500) if number % 2])
    return collection


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_the_disk_gets_back_what_is_not_used(tmp_path: Path, index: str) -> None:
    with with_gaps(tmp_path, index) as collection:
        found = collection.search(QUERIES, 20)
        before = collection.page(limit=1000), collection.stats().sequence
        done = collection.compact()
        assert (collection.page(limit=1000), collection.stats().sequence) == before
        assert_same_hits(collection.search(QUERIES, 20), found)
        assert done.bytes_after < 0.6 * done.bytes_before
        assert collection.stats().bytes_on_disk == pytest.approx(done.bytes_after, abs=100)
        assert collection._index.in_use._index.ntotal == 750, "removed vectors are gone from the index"
        assert collection.check().ok
        assert collection.compact().bytes_after == pytest.approx(done.bytes_after, abs=100)
        # It measures the index again, which may widen the search.
        found = collection.search(QUERIES, 20)
    with LocalCollection.open(tmp_path) as collection:
        assert_same_hits(collection.search(QUERIES, 20), found)
        collection.upsert(items(10, D, prefix="new "))
        assert collection.check().ok


def test_readers_go_on_and_do_not_stand_in_the_way(tmp_path: Path) -> None:
    stop, counted = Event(), 0
    with with_gaps(tmp_path) as collection, LocalCollection.open(tmp_path, read_only=True) as other:
        expected = collection.search(QUERIES, 20)

        def search() -> None:
            nonlocal counted
            while not stop.is_set():
                assert collection.search(QUERIES, 20) == other.search(QUERIES, 20) == expected
                counted += 1

        thread = Thread(target=search)
        thread.start()
        with other._rows.database.reading() as connection:  # a snapshot that takes its time, say
            assert other._rows.count(connection) == 750
            collection.compact()
        stop.set()
        thread.join()
        assert counted > 0
        assert other.check().ok
        assert collection.check().ok


def test_without_room_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with with_gaps(tmp_path) as collection:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
        with pytest.raises(
            StorageError, match=r"needs [1-9]\d? MiB of free space and 1 MiB are there; free some"
        ):
            collection.compact()
        assert collection.check().ok


def test_a_disk_that_gets_full_halfway_loses_nothing(tmp_path: Path) -> None:
    with with_gaps(tmp_path) as collection:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
        try:
            with pytest.raises(StorageError, match="the disk") as refusal:
                collection.compact()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "\n" not in str(refusal.value)
        assert collection.count() == 750
        assert collection.check().ok
        collection.upsert(items(5, D, prefix="new "))
        collection.compact()
        assert collection.count() == 755


def test_a_reader_cannot_compact(tmp_path: Path) -> None:
    with with_gaps(tmp_path), LocalCollection.open(tmp_path, read_only=True) as reader:
        with pytest.raises(CollectionError, match="read-only"):
            reader.compact()
        with pytest.raises(CollectionError, match="read-only"):
            reader.ask_of_index("hnsw")


def test_killed_halfway_everything_is_there(tmp_path: Path) -> None:
    with_gaps(tmp_path).close()
    code = (
        "import sys; from indexes import LocalCollection\n"
        "with LocalCollection.open(sys.argv[1]) as collection:\n"
        "    print('ready', flush=True)\n"
        "    while True: collection.compact()"
    )
    database = tmp_path / DATABASE_NAME
    for compactions in (0, 0, 1):
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60
        while compactions and database.stat().st_size >= 4_000_000:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with LocalCollection.open(tmp_path) as collection:
            assert collection.count() == 750
            assert collection.check().ok
    assert database.stat().st_size < 4_000_000
