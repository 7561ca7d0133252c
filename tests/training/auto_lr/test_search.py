"""AutoLR inside training: trials from the same weights, and a run that survives kill -9 in any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from retrieval.bundle import load_bundle
from retrieval.errors import UserError
from tests.training.runs import killed_run, same, weights
from training.auto_lr.trial_log import read_trials
from training.batch_part import BatchPart
from training.failure import TrainingFailedError
from training.loop import train
from training.metrics import read_metrics
from training.recipe import Recipe
from training.run_folder import RunFolder

Make = Callable[..., Recipe]

TUNED = [
    "network.preset=pruned",
    "auto_lr={max_trials: 4}",
    "schedule.epochs=2",
    "batch=9",
    "optimiser.lr=0.02",
]


def test_trials_go_on_until_the_variations_ascend(tmp_path: Path, make_recipe: Make) -> None:
    lines: list[str] = []
    train(make_recipe(*TUNED, "auto_lr.max_trials=20"), tmp_path / "run", report=lines.append)
    folder = RunFolder(tmp_path / "run")
    trials = read_trials(folder.trials)
    assert [trial.epoch for trial in trials if trial.accepted] == [0, 1]
    for trial in trials:
        assert trial.accepted == (trial.quality >= trial.threshold)
        assert list(trial.variations) == list(range(1, 11))  # pruned: 10 of 11 blocks
    assert trials[0].quality < 0.5, "one rate for all makes low blocks vary most"
    assert len(trials) > 2
    assert sum("sorting quality" in line for line in lines) == len(trials)
    assert folder.trials_plot.stat().st_size > 5000
    # Metrics tell of accepted trials alone, with their rates (half of 2 epochs is where they drop).
    metrics = read_metrics(folder)
    assert [line["epoch"] for line in metrics] == [1, 2]
    for line, trial, drop in zip(metrics, [t for t in trials if t.accepted], (1, 0.1), strict=True):
        assert line["rates"]["trunk.block1"] == pytest.approx(trial.rates[1] * drop)
        assert line["rates"]["trunk.stem"] == pytest.approx(trial.rates[0] * drop)
        assert line["rates"]["head1.classifier"] == pytest.approx(5e-2 * drop)


def test_an_accepted_trial_ends_as_if_the_others_had_never_been(tmp_path: Path, make_recipe: Make) -> None:
    """The rates that the trials found, given by hand, train to the same weights."""
    tuned = [*TUNED, "schedule.epochs=1", "auto_lr.max_trials=20"]
    train(make_recipe(*tuned), tmp_path / "tuned")
    *failed, accepted = read_trials(RunFolder(tmp_path / "tuned").trials)
    assert failed
    factors = {block: rate / 0.02 for block, rate in accepted.rates.items()}
    by_hand = [
        f"optimiser.stem_factor={factors.pop(0)!r}",
        f"optimiser.block_factors={json.dumps([factors[block] for block in sorted(factors)])}",
    ]
    train(make_recipe(*tuned, "auto_lr=null", *by_hand), tmp_path / "by-hand")
    ours, theirs = weights(tmp_path / "tuned"), weights(tmp_path / "by-hand")
    for name, value in ours.items():
        torch.testing.assert_close(
            value, theirs[name], rtol=1e-4, atol=1e-6
        )  # rates are rounded by the division


def test_frozen_epochs_and_groups_are_not_tuned(tmp_path: Path, make_recipe: Make) -> None:
    overrides = ["schedule.frozen_epochs=1", "network.freeze_until=B1", "auto_lr.max_trials=2"]
    train(make_recipe(*TUNED, *overrides), tmp_path / "run")
    trials = read_trials(RunFolder(tmp_path / "run").trials)
    assert {trial.epoch for trial in trials} == {1}
    assert trials[0].threshold == 0.94
    assert list(trials[0].variations) == list(range(2, 11))
    assert 0 not in trials[0].rates


def test_a_trial_that_diverges_is_thrown_away(
    tmp_path: Path, make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.learner import Learner

    calls = 0
    forward = Learner.forward

    def breaks_in_the_second_trial(
        self: Learner, images: torch.Tensor, labels: torch.Tensor, part: BatchPart | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal calls
        calls += 1
        loss, right = forward(self, images, labels, part)
        return loss * (float("nan") if calls == 5 else 1), right  # of three steps a trial

    monkeypatch.setattr(Learner, "forward", breaks_in_the_second_trial)
    train(make_recipe(*TUNED, "schedule.epochs=1"), tmp_path / "run")
    trials = read_trials(RunFolder(tmp_path / "run").trials)
    assert [trial.why for trial in trials[:2]] == ["not sorted", "diverged"]
    assert trials[-1].accepted
    first, high, half = (trial.rates[3] for trial in trials[:3])
    assert half == pytest.approx((first * high) ** 0.5)
    assert all(bool(torch.isfinite(value).all()) for value in weights(tmp_path / "run").values())


def test_the_first_trial_of_an_epoch_may_not_diverge(tmp_path: Path, make_recipe: Make) -> None:
    with pytest.raises(TrainingFailedError, match=r"lower optimiser\.lr"):
        train(make_recipe(*TUNED, "optimiser.classifier_lr=1e30"), tmp_path / "run")
    assert not RunFolder(tmp_path / "run").finished


def test_rates_of_zero_are_refused(tmp_path: Path, make_recipe: Make) -> None:
    with pytest.raises(UserError, match="block 2 starts at zero"):
        train(make_recipe(*TUNED, "optimiser.block_factors={2: 0}"), tmp_path / "run")


def test_killed_in_a_later_epoch_it_goes_on_in_the_trial_it_was_in(tmp_path: Path, make_recipe: Make) -> None:
    """With a threshold that is hardly reached, so that each epoch takes its trials, and the best again if need be."""
    tuned = [*TUNED, "auto_lr={threshold: 1.0, strict: true, max_trials: 2}"]
    recipe = make_recipe(*tuned)
    through, killed = RunFolder(tmp_path / "through"), RunFolder(tmp_path / "killed")
    train(recipe, through.path)
    killed_run(
        tmp_path / "tiny.yaml",
        killed.path,
        lambda: any(trial.epoch == 1 for trial in read_trials(killed.trials)),
        *tuned,
    )
    assert not killed.finished
    before = [trial for trial in read_trials(killed.trials) if not trial.accepted]
    train(recipe, killed.path, resume=True)
    trials = read_trials(killed.trials)
    assert trials == read_trials(through.trials)
    assert [trial for trial in trials if not trial.accepted][: len(before)] == before
    assert same(weights(through.path), weights(killed.path))


WHOLE = (
    "network={backbone: mobilenet_v3_small, preset: single, weights: none}",
    "schedule={epochs: 2}",
    "auto_lr={max_trials: 3}",
)


def test_found_rates_are_trained_with_and_every_trial_is_told(tmp_path: Path, make_recipe: Make) -> None:
    lines: list[str] = []
    train(make_recipe(*WHOLE), tmp_path / "run", report=lines.append)
    folder = RunFolder(tmp_path / "run")
    trials = read_trials(folder.trials)
    accepted = [trial for trial in trials if trial.accepted]
    assert [trial.epoch for trial in accepted] == [0, 1]
    assert len(trials) == sum("sorting quality" in line for line in lines)
    metrics = read_metrics(folder)
    for line, trial in zip(metrics, accepted, strict=True):
        # The schedule drops the rates by ten half way through the two epochs.
        factor = 1 if trial.epoch == 0 else 0.1
        assert line["rates"]["trunk.block1"] == pytest.approx(trial.rates[1] * factor)
    assert folder.trials_plot.stat().st_size > 1000
    if any(not trial.accepted for trial in trials):
        assert len({trial.rates[1] for trial in trials}) > 1
    assert load_bundle(folder.bundle).scores


def test_a_search_for_rates_that_is_killed_goes_on_in_its_trial(tmp_path: Path, make_recipe: Make) -> None:
    # A threshold that random weights do not reach at once, so that there are several trials.
    overrides = (*WHOLE, "auto_lr={max_trials: 4, threshold: 1.0, strict: true}")
    recipe = make_recipe(*overrides)
    through, killed = tmp_path / "through", tmp_path / "killed"
    train(recipe, through)
    log = RunFolder(killed).trials
    killed_run(tmp_path / "tiny.yaml", killed, lambda: len(read_trials(log)) >= 2, *overrides)
    assert not RunFolder(killed).finished
    train(recipe, killed, resume=True)
    assert same(weights(through), weights(killed))
    assert read_trials(log) == read_trials(RunFolder(through).trials)
