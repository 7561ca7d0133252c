"""AutoLR's log: what it holds, and what of it stands after a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.auto_lr.plot import draw_trials
from training.auto_lr.trial_log import TrialLog, in_words, read_trials
from training.auto_lr.tuner import AutoLR, Trial
from training.sections.auto_lr import AutoLRSection

SORTED, UNSORTED = {1: 1.0, 2: 2.0, 3: 4.0, 4: 7.5}, {1: 9.25, 2: 2.0, 3: 4.0, 4: 0.125}


@pytest.fixture
def trials() -> list[Trial]:
    """Epoch 1 in two trials, epoch 2 in three, epoch 3 not yet."""
    auto = AutoLR(AutoLRSection(), dict.fromkeys(range(5), 1 / 300))
    return [
        auto.judge(epoch, variations)
        for epoch, variations in [(0, UNSORTED), (0, SORTED), (1, UNSORTED), (1, UNSORTED), (1, SORTED)]
    ]


def written(path: Path, trials: list[Trial]) -> None:
    log = TrialLog(path, epochs_done=0)
    for trial in trials:
        log.add(trial)


def test_a_line_a_trial_to_the_last_digit(tmp_path: Path, trials: list[Trial]) -> None:
    path = tmp_path / "auto_lr.jsonl"
    written(path, trials)
    assert read_trials(path) == trials
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["epoch"], line["number"], line["accepted"]) for line in lines] == [
        (1, 1, False),
        (1, 2, True),
        (2, 1, False),
        (2, 2, False),
        (2, 3, True),
    ]
    assert lines[0]["target"] is None
    assert in_words(trials[0]) == "epoch 1, trial 1: sorting quality 0.250 of 0.940, not sorted"


@pytest.mark.parametrize(("epochs_done", "standing"), [(0, [0]), (1, [0, 1, 2, 3]), (2, [0, 1, 2, 3, 4])])
def test_an_accepted_trial_stands_only_with_its_checkpoint(
    tmp_path: Path, trials: list[Trial], epochs_done: int, standing: list[int]
) -> None:
    path = tmp_path / "auto_lr.jsonl"
    written(path, trials)
    expected = [trials[number] for number in standing]
    assert TrialLog(path, epochs_done=epochs_done, write=False).trials == expected
    assert read_trials(path) == trials, "another process's log is not touched"
    assert TrialLog(path, epochs_done=epochs_done).trials == expected
    assert read_trials(path) == expected


def test_a_line_cut_short_is_left_out(tmp_path: Path, trials: list[Trial]) -> None:
    path = tmp_path / "auto_lr.jsonl"
    written(path, trials)
    path.write_bytes(path.read_bytes()[:-20])
    assert read_trials(path) == trials[:-1]
    assert TrialLog(tmp_path / "none.jsonl", epochs_done=0).trials == []


def test_the_plot_shows_every_trial(tmp_path: Path, trials: list[Trial]) -> None:
    for number, shown in enumerate((trials[:1], trials)):
        path = tmp_path / f"{number}.png"
        draw_trials(shown, path, title="a run")
        assert path.stat().st_size > 5000
    still = Trial(0, 1, {1: 0.1}, {1: 0.0}, None, 1.0, 0.94, True, "sorted")
    draw_trials([still], tmp_path / "still.png", title="a network that did not move")
