"""metrics.jsonl and what shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]  # it ships no types

from training.curves import draw_curves
from training.metrics import EpochMetrics, MetricsLog, read_metrics
from training.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def metrics(epoch: int) -> EpochMetrics:
    score = {"recall": {"1": 0.25, "2": 0.5}, "map_at_r": 0.125} if epoch % 2 else None
    return EpochMetrics(epoch, 3.5 / epoch, [0.5, 0.75], {"trunk.stem": 1e-3}, 10.0, 2.0, score)


def test_lines_after_the_checkpoint_and_half_lines_are_dropped(folder: RunFolder) -> None:
    log = MetricsLog(folder, epochs_done=0)
    for epoch in (1, 2, 3):
        log.add(metrics(epoch))
    log.close()
    with folder.metrics.open("a") as file:
        file.write('{"epoch": 4, "lo')
    log = MetricsLog(folder, epochs_done=2)
    log.add(metrics(3))
    log.close()
    assert [line["epoch"] for line in read_metrics(folder)] == [1, 2, 3]
    assert [json.loads(line) for line in folder.metrics.read_text().splitlines()] == log.lines


def test_tensorboard_has_the_same_values(folder: RunFolder) -> None:
    log = MetricsLog(folder, epochs_done=0)
    log.add(metrics(1))
    log.add(metrics(2))
    log.close()
    board = EventAccumulator(str(folder.tensorboard))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(1, 3.5), (2, 1.75)]
    assert [(event.step, event.value) for event in board.Scalars("validation/recall@2")] == [(1, 0.5)]
    assert {"accuracy/head1", "accuracy/head2", "rate/trunk.stem"} <= set(board.Tags()["scalars"])


def test_the_line_for_people() -> None:
    assert metrics(1).in_words(9) == (
        "epoch 1/9: loss 3.500, accuracy 50.0 75.0, validation R@1 25.0 R@2 50.0, 10 img/s"
    )
    assert "validation" not in metrics(2).in_words(9)


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_curves_are_a_picture(folder: RunFolder, epochs: int) -> None:
    log = MetricsLog(folder, epochs_done=0)
    for epoch in range(1, epochs + 1):
        log.add(metrics(epoch))
    log.close()
    draw_curves(log.lines, folder.curves, title="tiny")
    with Image.open(folder.curves) as image:
        assert image.width > 800
        assert len(image.convert("RGB").getcolors(10**6) or ()) > 50, "more than an empty canvas"
