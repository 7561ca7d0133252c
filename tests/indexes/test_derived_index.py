"""The index follows the rows: replay, rebuilding, renewing as a collection grows, and how well it searches."""

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from indexes import derived_index, index_building, index_kinds, index_upkeep
from indexes.collection import Collection
from indexes.index_file import INDEX_NAME, read_index_header
from indexes.index_tuning import WANTED_RECALL
from indexes.item_rows import DATABASE_NAME
from indexes.local_collection import LocalCollection
from indexes.search_width import SearchWidth
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D = 16
QUERIES = unit_vectors(20, D, seed=4)


def filled(folder: Path, n: int = 400, index: str = "auto") -> LocalCollection:
    collection = LocalCollection.create(folder, embedding_size=D, model_fingerprint=FINGERPRINT, index=index)
    collection.upsert(items(n, D))
    return collection


def ids(collection: Collection, k: int = 10) -> list[list[str]]:
    return [[hit.id for hit in hits] for hits in collection.search(QUERIES, k)]


@pytest.mark.parametrize("index", ["flat", "hnsw"])
def test_writes_that_the_file_has_not_seen_are_replayed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, index: str
) -> None:
    with filled(tmp_path, index=index):
        pass
    old = (tmp_path / INDEX_NAME).read_bytes()
    with LocalCollection.open(tmp_path) as collection:
        collection.delete([str(i) for i in range(0, 400, 3)])
        collection.upsert(items(50, D, seed=8, prefix="new "))
        collection.upsert(items(20, D, seed=9))
        expected = ids(collection)
    (tmp_path / INDEX_NAME).write_bytes(old)
    with LocalCollection.open(tmp_path) as collection:
        assert collection.check().ok
        assert ids(collection) == expected
    assert not caplog.records, "replaying is nothing to warn of"


@pytest.mark.parametrize(
    "damage", ["missing", "truncated", "flipped", "foreign", "garbage", "empty", "a folder"]
)
def test_an_unusable_file_is_rebuilt_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    with filled(tmp_path / "c") as collection:
        expected = ids(collection)
    with filled(tmp_path / "other", 30):
        pass
    path = tmp_path / "c" / INDEX_NAME
    whole = path.read_bytes()
    match damage:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "flipped":
            path.write_bytes(whole[:-100] + bytes([whole[-100] ^ 4]) + whole[-99:])
        case "foreign":
            path.write_bytes((tmp_path / "other" / INDEX_NAME).read_bytes())
        case "garbage":
            path.write_bytes(b"IxFI" + bytes(1000))
        case "empty":
            path.write_bytes(b"")
        case _:
            path.unlink()
            path.mkdir()
    with LocalCollection.open(tmp_path / "c") as collection:
        assert ids(collection) == expected
        report = collection.check()
        # Where a folder stands in the way of the new file, it is as it was.
        assert report.ok or (damage == "a folder" and report.problems[0].startswith("index file: "))
    (record, *_) = caplog.records
    assert record.levelno == logging.WARNING
    assert "building the index of 400 items anew" in record.message
    assert "\n" not in record.message


def test_an_index_ahead_of_its_rows_is_rebuilt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database restored from an older copy counts on from an older number, so the same keys mean other vectors."""
    with filled(tmp_path):
        pass
    old = (tmp_path / DATABASE_NAME).read_bytes()
    with LocalCollection.open(tmp_path) as collection:
        collection.upsert(items(100, D, seed=8, prefix="lost "))
    (tmp_path / DATABASE_NAME).write_bytes(old)
    with LocalCollection.open(tmp_path) as collection:
        assert collection.check().ok
        assert read_index_header(tmp_path / INDEX_NAME).sequence == 400, "the misleading file must not stay"
        collection.upsert(items(100, D, seed=9, prefix="new "))
        assert collection.check().ok
    assert "ahead of the database" in caplog.text


@pytest.mark.parametrize("index", ["sq8", "fp16", "hnsw", "hnsw-sq8", "ivf", "ivf-sq8"])
def test_every_kind_finds_the_true_neighbours_with_exact_scores(tmp_path: Path, index: str) -> None:
    stored = items(2000, D)
    with filled(tmp_path, 2000, index) as collection:
        collection.optimise()
        assert collection.stats().index_kind == index
        assert collection.stats().index_recall[10] > 0.94
        vectors = {item.id: item.vector for item in stored}
        found = 0
        for query, hits in zip(QUERIES, collection.search(QUERIES, 10), strict=True):
            true = sorted(stored, key=lambda item: -float(item.vector @ query))[:10]
            found += len({hit.id for hit in hits} & {item.id for item in true})
            np.testing.assert_allclose(
                [hit.score for hit in hits], [vectors[hit.id] @ query for hit in hits], atol=1e-6
            )
        assert found >= 0.9 * 10 * len(QUERIES)
        assert collection.check().ok
    with LocalCollection.open(tmp_path) as collection:
        assert collection.stats().index_kind == index
        assert [len(hits) for hits in collection.search(QUERIES[:2], 2000)] == [2000, 2000]


@pytest.mark.slow
def test_product_quantisation_is_reranked(tmp_path: Path) -> None:
    with filled(tmp_path, 12_000, "ivfpq") as collection:
        collection.optimise()
        assert collection.stats().index_kind == "ivfpq"
        assert collection.stats().index_recall[10] > 0.8
        vectors = collection.vectors([hit.id for hit in collection.search(QUERIES[:1], 10)[0]])
        np.testing.assert_allclose(
            [hit.score for hit in collection.search(QUERIES[:1], 10)[0]], vectors @ QUERIES[0], atol=1e-6
        )


def wait_for_kind(collection: LocalCollection, kind: str) -> None:
    deadline = time.monotonic() + 30
    while collection.stats().index_kind != kind:
        assert time.monotonic() < deadline, collection.stats()
        time.sleep(0.02)


def test_a_growing_collection_gets_another_kind_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_kinds, "FLAT_FLOATS", 500 * D)
    with LocalCollection.create(tmp_path, embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        stored = items(1200, D)
        for start in range(0, 1200, 100):
            collection.upsert(stored[start : start + 100])
        wait_for_kind(collection, "sq8")
        collection.delete([item.id for item in stored[::7]])
        assert collection.check().ok
        expected = [item.id for i, item in enumerate(stored) if i % 7]
        assert sorted(hit.id for hit in collection.search(QUERIES[:1], 2000)[0]) == sorted(expected)


def test_a_named_kind_starts_flat_and_is_trained_when_it_can_be(tmp_path: Path) -> None:
    with filled(tmp_path, 100, "sq8") as collection:
        assert collection.stats().index_kind == "flat"
        collection.upsert(items(300, D, seed=2, prefix="more "))
        wait_for_kind(collection, "sq8")


def test_many_deletions_renew_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(tmp_path, 1500, "hnsw") as collection:
        collection.optimise()
        before = collection._index.in_use
        monkeypatch.setattr(index_upkeep, "_FEWEST_DEAD", 100)
        collection.delete([str(i) for i in range(400)])
        deadline = time.monotonic() + 30
        while collection._index.in_use is before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert sorted(map(int, ids(collection, 2000)[0])) == list(range(400, 1500))


def test_recall_is_measured_without_being_asked(tmp_path: Path) -> None:
    with filled(tmp_path, 300) as collection:
        deadline = time.monotonic() + 30
        while not collection.stats().index_recall:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert collection.stats().index_recall == {10: 1.0}
    with filled(tmp_path / "small", 20):
        pass
    assert LocalCollection.info(tmp_path / "small").index_recall == {10: 1.0}


def test_the_width_of_a_search_is_raised_until_recall_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_building, "tuned", lambda *_: (SearchWidth(1), 0.5))
    with filled(tmp_path, 2000, "ivf") as collection:
        collection.optimise()
        collection.measure_index()
        assert collection.stats().index_recall[10] >= WANTED_RECALL
    assert read_index_header(tmp_path / INDEX_NAME).effort > 1


@pytest.mark.parametrize(
    ("index", "grown", "same"), [("hnsw", 500, True), ("sq8", 100, True), ("sq8", 900, False)]
)
def test_an_index_that_suits_is_measured_and_not_built_again(
    tmp_path: Path, index: str, grown: int, same: bool
) -> None:
    with filled(tmp_path, 1000, index) as collection:
        collection.optimise()
        before = collection._index.in_use
        collection.upsert(items(grown, D, seed=7, prefix="more "))
        collection.optimise()
        assert (collection._index.in_use is before) == same
        assert collection.check().ok
        before = collection._index.in_use
        collection.rebuild()
        assert collection._index.in_use is not before


def test_closing_does_not_wait_for_a_long_renewal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_kinds, "FLAT_FLOATS", 500 * D)
    monkeypatch.setattr("indexes.vector_rows.BATCH", 1)
    collection = filled(tmp_path, 600)
    collection.close()
    with LocalCollection.open(tmp_path, read_only=True) as again:
        assert again.check().ok


def test_upkeep_gives_up_on_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    def no_space(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(derived_index, "write_index_file", no_space)
    monkeypatch.setattr(index_upkeep, "_FEWEST_UNSAVED", 1)
    with filled(tmp_path, 300) as collection:
        deadline = time.monotonic() + 30
        while collection._upkeep.running:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert attempts <= 3
        (problem,) = collection.check().problems
        assert problem.startswith("index file: it is missing")
