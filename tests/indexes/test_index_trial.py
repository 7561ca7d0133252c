"""The trial builds candidates on the collection's own vectors; what wins is what the figures say."""

import sqlite3
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexes import index_choice, index_kinds, index_trial, maintenance
from indexes.collection import NewItem
from indexes.collection_stats import last_trial
from indexes.errors import CollectionError
from indexes.index_building import Built, Keys, StoppedError, build
from indexes.index_kinds import IndexKind, bytes_per_item
from indexes.index_trial import Trial, Tried
from indexes.item_rows import ItemRows
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, items, unit_vectors

D, N = 16, 3000


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (index_kinds, index_choice):
        monkeypatch.setattr(module, "FLAT_FLOATS", 500 * D)
    monkeypatch.setattr(index_trial, "_TIMED", 3)


def filled(folder: Path, n: int = N, memory: int | None = None, recall: float = 0.95) -> LocalCollection:
    collection = LocalCollection.create(
        folder, embedding_size=D, model_fingerprint=FINGERPRINT, memory=memory, recall=recall
    )
    collection.upsert(items(n, D))
    return collection


def test_every_candidate_is_measured_and_the_winner_is_taken(tmp_path: Path) -> None:
    with filled(tmp_path) as collection:
        collection.optimise()
        trial = collection.index_trial()
        assert trial is not None
        assert (trial.items, trial.sample, trial.wanted) == (N, N, 0.95)
        assert [each.kind for each in trial.tried] == list(index_trial.CANDIDATES)
        for each in trial.tried:
            assert each.reason is None
            assert each.recall is not None
            assert each.recall >= 0.95
            assert each.milliseconds is not None
            assert each.milliseconds > 0
        assert collection.stats().index_kind == trial.chosen
        assert collection.stats().index_recall[10] >= 0.95
        assert collection.check().ok
        assert len(collection._index) == N, "what was kept back for queries is in the index by now"
        # A query finds itself, also one of those that were kept back.
        hits = collection.search(unit_vectors(N, D)[::7], 1)
        assert np.mean([row[0].id == str(7 * i) for i, row in enumerate(hits)]) > 0.95
    assert last_trial(tmp_path) == trial == Trial.from_json(asdict(trial))


def test_it_is_repeated_only_where_the_question_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(tmp_path) as collection:
        collection.optimise()
        trial = collection.index_trial()
        monkeypatch.setattr("indexes.derived_index.try_kinds", lambda *_, **__: pytest.fail("tried again"))
        collection.upsert(items(50, D, seed=5, prefix="later "))
        collection.optimise()
        collection.rebuild()
        assert trial is not None
        assert collection.stats().index_kind == trial.chosen
        for again in ({"index": "auto"}, {"recall": 0.9}, {"memory": 1 << 30}):
            collection.ask_of_index(**again)
            with pytest.raises(pytest.fail.Exception, match="tried again"):
                collection.optimise()
        collection.ask_of_index("hnsw")
        collection.optimise()
        assert collection.stats().index_kind == "hnsw"


def test_memory_decides_what_may_be_built_and_whether_vectors_are_kept(tmp_path: Path) -> None:
    room = N * int(bytes_per_item(index_kinds.KINDS["sq8"], D, refined=False) + 1)
    with filled(tmp_path, memory=room) as collection:
        collection.optimise()
        trial = collection.index_trial()
        assert trial is not None
        tried = {each.kind: each for each in trial.tried}
        assert tried["flat"].reason == tried["hnsw"].reason == "does not fit the memory"
        assert not tried["sq8"].keeps_vectors
        assert tried["sq8"].recall is not None
        assert trial.chosen in ("sq8", "ivf-sq8", "ivf-rabitq")
        assert not collection._index.in_use.refined
        assert collection.check().ok
    # Asked for through the same door as `hdhe index rebuild`.
    maintenance.rebuild(tmp_path, "auto", memory=1 << 30, recall=0.9)
    again = last_trial(tmp_path)
    assert again is not None
    assert (again.memory, again.wanted) == (1 << 30, 0.9)
    assert all(each.reason is None for each in again.tried)
    with pytest.raises(CollectionError, match=r"no kind of index fits that memory; allow more with --memory"):
        maintenance.rebuild(tmp_path, memory=100)


def test_of_many_items_a_sample_is_measured_and_times_are_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_trial, "_SAMPLE_FLOATS", 1000 * D)
    monkeypatch.setattr(index_trial, "_FEWEST_SAMPLED", 1000)
    monkeypatch.setattr(index_trial, "_milliseconds", lambda *_: 1.0)
    with filled(tmp_path) as collection:
        collection.optimise()
        trial = collection.index_trial()
        assert trial is not None
        assert (trial.items, trial.sample) == (N, 1000)
        times = {each.kind: each.milliseconds for each in trial.tried}
        assert times["flat"] is not None
        held = round(3000 / times["flat"])
        assert 1000 - 14 * 17 <= held <= 1000 - 17, "14 queries with 16 alike to each are kept back"
        assert times["ivf-sq8"] == pytest.approx((3000 / held) ** 0.5, abs=1e-3)
        assert times["hnsw"] == pytest.approx(np.log(3000) / np.log(held), abs=1e-3)
        assert collection.stats().items == len(collection._index) == N
        assert collection.check().ok


def test_a_trial_is_given_up_when_the_collection_is_closed(tmp_path: Path) -> None:
    with filled(tmp_path) as collection:
        collection._index.stop()
        with pytest.raises(StoppedError):
            collection.optimise()
        assert collection.index_trial() is None


def test_time_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_trial, "_SECONDS", -1.0)
    with filled(tmp_path) as collection:
        collection.optimise()
        trial = collection.index_trial()
        assert trial is not None
        assert [each.reason for each in trial.tried] == [None, *["no time was left"] * (len(trial.tried) - 1)]
        assert trial.chosen == "flat"


def test_the_fastest_that_reaches_the_recall_wins_and_of_nearly_equals_the_smallest() -> None:
    base = Tried("a", False, 1000.0, recall=0.99, milliseconds=1.0, batch_milliseconds=1.0, build_seconds=1.0)
    tried = [
        replace(base, kind="exact but slow", recall=1.0, milliseconds=10.0),
        replace(base, kind="fast but wrong", recall=0.8, milliseconds=0.1),
        replace(base, kind="fastest"),
        replace(base, kind="nearly, and smaller", milliseconds=1.1, bytes=500.0),
        replace(base, kind="smallest, but slower", milliseconds=1.5, bytes=100.0),
        replace(base, kind="not built", recall=None, milliseconds=None, reason="does not fit the memory"),
    ]
    assert index_trial._winner(tried, 0.99).kind == "nearly, and smaller"
    assert index_trial._winner(tried, 0.999).kind == "exact but slow"
    assert index_trial._winner(tried[1:3], 0.999).kind == "fastest", (
        "where none reaches it, the best there is"
    )


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> list[NewItem]:
    """Items in sixty tight groups. In a sample of twenty a group, a graph has links between the groups; among four
    hundred a group, hardly any.
    """
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.standard_normal((60, D)).astype(np.float32), 400, axis=0)
    vectors += 0.02 * rng.standard_normal(vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    monkeypatch.setattr(index_trial, "_SAMPLE_FLOATS", 1200 * D)
    monkeypatch.setattr(index_trial, "_FEWEST_SAMPLED", 1200)
    monkeypatch.setattr(index_trial, "CANDIDATES", ("flat", "hnsw-sq8", "hnsw"))
    monkeypatch.setattr(
        index_trial, "_milliseconds", lambda _, index, *__: 9.0 if index.kind.name == "flat" else 1.0
    )
    return [NewItem(str(i), row) for i, row in enumerate(vectors)]


def test_a_kind_that_fails_among_all_items_makes_way_for_the_next(
    tmp_path: Path, crowded: list[NewItem], caplog: pytest.LogCaptureFixture
) -> None:
    with LocalCollection.create(tmp_path, embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        collection.upsert(crowded)
        collection.optimise()
        trial = collection.index_trial()
        assert trial is not None
        tried = {each.kind: each for each in trial.tried}
        assert tried["hnsw"].recall == 1.0
        assert tried["hnsw"].whole_recall is not None
        assert tried["hnsw"].whole_recall < 0.95
        assert tried["hnsw-sq8"].whole_recall is None, "built for nothing: codes find no more"
        assert tried["flat"].whole_recall is None
        assert trial.chosen == collection.stats().index_kind == "flat"
        assert collection.stats().index_recall == {10: 1.0}
        (said,) = (message for message in caplog.messages if "hnsw reaches" in message)
        assert f"hnsw reaches a recall of {tried['hnsw'].whole_recall} only among all 24000 items" in said
        assert "building flat instead" in said
        # It is not tried again, and a kind that is named is taken as it is.
        collection.optimise()
        assert collection.index_trial() == last_trial(tmp_path) == trial == Trial.from_json(asdict(trial))
        collection.ask_of_index("hnsw")
        collection.optimise()
        assert collection.stats().index_kind == "hnsw"
        assert collection.index_trial() is None


def test_a_kind_by_size_that_finds_too_little_is_put_to_the_test(
    tmp_path: Path, crowded: list[NewItem], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index_kinds, "_SQ8_FLOATS", 0)
    with LocalCollection.create(tmp_path, embedding_size=D, model_fingerprint=FINGERPRINT) as collection:
        collection.upsert(crowded)
        collection._index.renew()  # as in the background, without a trial
        trial = collection.index_trial()
        assert trial is not None
        assert trial.chosen == collection.stats().index_kind == "flat"
        assert "building flat instead" in caplog.messages[-1]
    built = []

    def noted(
        rows: ItemRows, connection: sqlite3.Connection, keys: Keys, kind: IndexKind, **rest: Any
    ) -> Built:
        built.append(kind.name)
        return build(rows, connection, keys, kind, **rest)

    monkeypatch.setattr("indexes.derived_index.build", noted)
    (tmp_path / "index.faiss").unlink()
    with LocalCollection.open(tmp_path, read_only=True) as collection:
        assert collection.stats().index_kind == "flat"
    assert built == ["flat"], "what was found holds"


def test_what_is_built_is_what_has_won_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # hnsw-sq8 wins after ivf-sq8, for it is nearly as fast and, here, smaller; hnsw makes it too slow, and ivf-sq8 is
    # nearly as fast as that.
    times = {"ivf-sq8": 1.1, "hnsw-sq8": 1.25, "hnsw": 1.0}
    sizes = {"ivf-sq8": 10.0, "hnsw-sq8": 5.0, "hnsw": 20.0}
    monkeypatch.setattr(index_trial, "CANDIDATES", tuple(times))
    monkeypatch.setattr(index_trial, "_growth", lambda *_: 1.0)
    monkeypatch.setattr(index_trial, "_milliseconds", lambda _, index, *__: times[index.kind.name])
    monkeypatch.setattr(index_trial, "bytes_per_item", lambda kind, *_, **__: sizes[kind.name])
    with filled(tmp_path) as collection:
        collection.optimise()
        trial = collection.index_trial()
        assert trial is not None
        assert trial.chosen == collection.stats().index_kind == "ivf-sq8"


def test_what_was_reached_among_all_decides_and_no_kind_is_built_for_ever() -> None:
    def tried(kind: str, recall: float, milliseconds: float) -> Tried:
        return Tried(kind, False, 1.0, recall, milliseconds, milliseconds, 1.0)

    trial = Trial(
        10**6,
        65_536,
        0.99,
        2**34,
        "hnsw",
        (
            tried("hnsw", 0.997, 1.0),
            tried("hnsw-sq8", 0.995, 2.0),
            tried("ivf-rabitq", 0.993, 5.0),
            tried("ivf-sq8", 0.994, 8.0),
            tried("sq8", 0.97, 50.0),
        ),
    )
    lists = trial.after_failure(0.6)
    assert lists.chosen == "ivf-rabitq", "not the same graph in codes"
    others = lists.after_failure(0.985)
    assert others.chosen == "ivf-sq8", "other codes may do what those of one bit cannot"
    back = others.after_failure(0.98)
    assert back.chosen == "ivf-rabitq", "all that promised enough have failed: the one that came nearest"
    assert back.after_failure(0.9).chosen == "ivf-rabitq"
    # What had promised no more than that is what there is.
    only = replace(trial, tried=(tried("hnsw", 0.98, 1.0), tried("sq8", 0.97, 2.0)))
    assert only.after_failure(0.9).chosen == "hnsw"
