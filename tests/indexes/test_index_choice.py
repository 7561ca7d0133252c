"""Which kind a collection is to have follows its settings, which may change under it."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from indexes import index_choice
from indexes.gpu_placement import has_cagra
from indexes.index_choice import IndexChoice
from indexes.index_trial import Trial
from indexes.item_rows import ItemRows
from tests.indexes.unit_vectors import FINGERPRINT

MIB = 1 << 20


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ItemRows:
    monkeypatch.setattr(index_choice, "machine_memory", lambda: 2048 * MIB)
    monkeypatch.setattr(index_choice, "gpu_memory", lambda: None)
    return ItemRows.create(
        tmp_path / "rows.sqlite", embedding_size=512, model_fingerprint=FINGERPRINT, index="auto"
    )


def test_half_of_the_machine_unless_told_otherwise(rows: ItemRows) -> None:
    choice = IndexChoice(rows)
    assert choice.memory == 1024 * MIB
    assert choice.kind(60_000).name == "sq8"
    assert choice.refined(choice.kind(60_000), 60_000)
    assert not choice.refined(choice.kind(600_000), 600_000)
    rows.change_settings(replace(rows.settings, memory=100 * MIB))
    assert choice.memory == 100 * MIB
    assert not choice.refined(choice.kind(60_000), 60_000)


def test_what_a_trial_has_found_holds_where_flat_ends(rows: ItemRows) -> None:
    choice = IndexChoice(rows)
    assert choice.wants_trial(60_000)
    assert not choice.wants_trial(20_000), "flat is quick enough"
    trial = Trial(60_000, 60_000, 0.99, 1024 * MIB, "hnsw-sq8", ())
    rows.change_settings(replace(rows.settings, trial=asdict(trial)))
    assert choice.trial == trial
    assert [choice.kind(n).name for n in (1000, 20_000, 30_000, 60_000)] == [
        "flat",
        "flat",
        "hnsw-sq8",
        "hnsw-sq8",
    ]
    assert [n for n in (29_999, 30_000, 60_000, 119_999, 120_000) if not choice.wants_trial(n)] == [
        30_000,
        60_000,
        119_999,
    ]
    rows.change_settings(replace(rows.settings, recall=0.95))
    assert choice.wants_trial(60_000), "another recall is another question"
    rows.change_settings(replace(rows.settings, index="ivf"))
    assert choice.kind(60_000).name == "ivf"
    assert not choice.wants_trial(60_000), "a kind that is named is not put to the test"


def test_a_gpu_scans_what_it_can_hold(rows: ItemRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_choice, "gpu_memory", lambda: 400 * MIB)
    choice = IndexChoice(rows)
    assert [choice.kind(n).name for n in (60_000, 100_000, 150_000, 300_000)] == [
        "flat",
        "flat",
        "fp16",
        "sq8",
    ]
    assert not choice.wants_trial(150_000)
    assert choice.wants_trial(300_000)


@pytest.mark.skipif(has_cagra(), reason="this machine can make such a graph")
def test_where_no_gpu_can_make_a_graph_the_cpu_does(rows: ItemRows) -> None:
    rows.change_settings(replace(rows.settings, index="cagra"))
    assert IndexChoice(rows).kind(60_000).name == "hnsw"
