"""AutoLR's decisions against the authors' constants and trials worked by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrieval.errors import UserError
from training.auto_lr.sorting import sorting_quality
from training.auto_lr.tuner import AutoLR, Trial, threshold
from training.sections.auto_lr import AutoLRSection

BLOCKS = range(1, 15)
ASCENDING = dict(zip(BLOCKS, map(float, BLOCKS), strict=True))
REVERSED = dict(zip(BLOCKS, map(float, reversed(BLOCKS)), strict=True))


def tuner(blocks: int = 14, **settings: float | bool) -> AutoLR:
    section = AutoLRSection.model_validate(settings)
    return AutoLR(section, dict.fromkeys(range(blocks + 1), 1e-3))


def by_block(*values: float) -> dict[int, float]:
    return dict(enumerate(values, 1))


def test_the_threshold_of_the_authors() -> None:
    section = AutoLRSection()
    assert threshold(section, 0) == 0.94
    assert threshold(section, 1) == pytest.approx(0.94 * 0.99)
    assert threshold(section, 16) == pytest.approx(0.94 * 0.99**16)
    assert threshold(section, 16) > 0.8
    assert threshold(section, 17) == pytest.approx(0.792, abs=5e-4)
    assert threshold(section, 49) == threshold(section, 17)
    assert {threshold(AutoLRSection(strict=True), epoch) for epoch in range(50)} == {0.94}


def test_sorted_variations_are_accepted_and_change_no_rate() -> None:
    auto = tuner()
    before = auto.rates
    trial = auto.judge(0, ASCENDING)
    assert (trial.accepted, trial.quality, trial.number, trial.target) == (True, 1.0, 1, None)
    assert auto.rates == before
    assert auto.trial == 1


def test_the_first_epoch_by_hand() -> None:
    auto = tuner(4)
    first = auto.judge(0, by_block(8, 4, 2, 1))
    assert (first.accepted, first.quality, first.why) == (False, 0.0, "not sorted")
    # From 2 x 1 to 0.4 x 8 in steps of 0.4; the stem takes half of the first block's rate.
    target = (2, 2.4, 2.8, 3.2)
    rates = [1e-3 * wanted / came for wanted, came in zip(target, (8, 4, 2, 1), strict=True)]
    assert auto.rates == pytest.approx({0: rates[0] / 2} | by_block(*rates))

    # The target stays; the rates go on from the latest trial, and a block that came out as wanted keeps its own.
    second = auto.judge(0, by_block(2, 3, 1.4, 3.2))
    assert (second.number, second.accepted) == (2, False)
    assert second.target == pytest.approx(by_block(*target))
    assert second.rates == pytest.approx({0: rates[0] / 2} | by_block(*rates))
    updated = [rates[0], rates[1] * 0.8, rates[2] * 2, rates[3]]
    assert auto.rates == pytest.approx({0: rates[0] / 2} | by_block(*updated))

    third = auto.judge(0, by_block(2, 2.4, 2.8, 3.2))
    assert (third.number, third.accepted) == (3, True)
    assert auto.rates == third.rates == pytest.approx({0: rates[0] / 2} | by_block(*updated))
    assert auto.trial == 1


def test_a_later_epoch_repairs_the_order() -> None:
    auto = tuner(4)
    assert auto.judge(0, by_block(1, 2, 3, 4)).accepted
    assert not auto.judge(1, by_block(4, 2, 3, 1)).accepted
    # From 3 in the middle: 2 is below it; 4 is not below 2, so it becomes 2 - 1; 1 is not above 3, so it becomes 4.
    assert auto.rates == pytest.approx({0: 1e-3 / 8} | by_block(1e-3 / 4, 1e-3, 1e-3, 4e-3))


def test_a_line_of_targets_that_would_descend_is_told() -> None:
    auto = tuner(4)
    trial = auto.judge(0, by_block(4, 3, 2, 1))
    assert "would not ascend" in trial.why
    assert auto.rates == pytest.approx({0: 1e-3 / 8} | by_block(1e-3 / 4, 1e-3 * 2 / 3, 1e-3 * 3 / 2, 4e-3))


def test_the_last_trial_is_taken_if_it_is_the_best() -> None:
    auto = tuner(4, max_trials=2)
    auto.judge(0, by_block(4, 3, 2, 1))
    rates = auto.rates
    last = auto.judge(0, by_block(2, 1, 4, 3))
    assert (last.accepted, last.quality, last.why) == (True, 0.5, "the best sorted of 2")
    assert auto.rates == rates


def test_otherwise_the_best_trial_is_trained_again_and_taken_as_it_is() -> None:
    auto = tuner(4, max_trials=3)
    auto.judge(0, by_block(4, 3, 2, 1))
    best = auto.judge(0, by_block(2, 1, 4, 3))
    assert not auto.judge(0, by_block(4, 3, 2, 1)).accepted
    assert auto.rates == best.rates
    again = auto.judge(0, by_block(4, 1, 2, 3))
    assert (again.accepted, again.number, again.why) == (True, 4, "repeats the best sorted of 3")
    assert auto.rates == best.rates
    # The next epoch starts afresh.
    assert auto.trial == 1
    assert not auto.judge(1, by_block(4, 3, 2, 1)).accepted
    assert auto.rates != best.rates


def test_one_trial_allowed_means_that_every_epoch_counts() -> None:
    auto = tuner(max_trials=1)
    assert all(auto.judge(epoch, REVERSED).accepted for epoch in range(5))
    assert set(auto.rates.values()) == {1e-3}


def test_a_trial_that_diverged_goes_half_way_back_to_the_best() -> None:
    auto = tuner(4)
    auto.judge(0, by_block(8, 4, 2, 1))
    first, high = 1e-3, dict(auto.rates)
    trial = auto.judge(0, None)
    assert (trial.accepted, trial.quality, trial.variations, trial.why) == (False, 0.0, {}, "diverged")
    assert auto.rates == pytest.approx({block: (first * rate) ** 0.5 for block, rate in high.items()})
    auto.judge(0, None)
    assert auto.rates == pytest.approx({b: first**0.75 * rate**0.25 for b, rate in high.items()})
    # The target stands, and the rates go on from what these gave.
    rates = auto.rates
    third = auto.judge(0, by_block(2, 2.4, 2.9, 1.6))
    assert third.target == pytest.approx(by_block(2, 2.4, 2.8, 3.2))
    assert auto.rates[4] == pytest.approx(2 * rates[4])
    assert auto.judge(0, by_block(2, 2.4, 2.8, 3.2)).accepted


def test_a_trial_that_diverged_is_never_the_best() -> None:
    auto = tuner(4, max_trials=2)
    first = auto.judge(0, by_block(4, 3, 2, 1))
    assert first.quality == 0
    assert not auto.judge(0, None).accepted
    assert auto.rates == first.rates
    assert auto.judge(0, by_block(4, 3, 2, 1)).why == "repeats the best sorted of 2"


def test_frozen_blocks_are_passed_over() -> None:
    auto = AutoLR(AutoLRSection(), {3: 1e-3, 4: 1e-3})
    trial = auto.judge(0, by_block(0, 0, 9, 1))
    assert trial.variations == {3: 9, 4: 1}
    assert auto.rates == pytest.approx({3: 1e-3 * 2 / 9, 4: 3.6e-3})


def test_epochs_count_from_the_first_that_is_judged() -> None:
    auto = AutoLR(AutoLRSection(), dict.fromkeys(range(1, 5), 1e-3), first_epoch=2)
    trial = auto.judge(2, by_block(8, 4, 2, 1))
    assert (trial.epoch, trial.threshold) == (2, 0.94)
    assert auto.judge(2, by_block(1, 2, 3, 4)).target == pytest.approx(by_block(2, 2.4, 2.8, 3.2))


def test_what_cannot_be_judged() -> None:
    with pytest.raises(UserError, match="block 2 starts at zero") as caught:
        AutoLR(AutoLRSection(), {1: 1.0, 2: 0.0})
    assert "\n" not in str(caught.value)
    for value in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match="finite"):
            tuner(2).judge(0, by_block(1, value))
    with pytest.raises(ValueError, match="no rates to go back to"):
        tuner(2).judge(0, None)
    with pytest.raises(ValidationError, match="must be below max_rate"):
        AutoLRSection(min_rate=1, max_rate=0.5)


chaos = st.lists(st.lists(st.floats(0, 1e12), min_size=4, max_size=4), min_size=1, max_size=25)


@given(chaos, st.integers(1, 5), st.booleans())
@settings(max_examples=200)
def test_rates_stay_in_range_and_no_epoch_takes_more_trials_than_it_may(
    measured: list[list[float]], limit: int, strict: bool
) -> None:
    auto, epoch, in_epoch = tuner(4, max_trials=limit, strict=strict), 0, 0
    for values in measured:
        trial = auto.judge(epoch, by_block(*values))
        in_epoch += 1
        assert trial.number == in_epoch <= limit + 1
        assert all(1e-6 <= rate <= 1 for block, rate in auto.rates.items() if block)
        assert 0.5e-6 <= auto.rates[0] <= 1
        if trial.accepted:
            epoch, in_epoch = epoch + 1, 0


def test_a_network_that_obeys_its_rates_is_sorted_at_the_second_trial() -> None:
    """The update assumes variation = gain x rate; where that holds one update is enough."""
    gains = by_block(*(1e5 / block**1.5 for block in BLOCKS))
    auto = tuner()

    def train() -> dict[int, float]:
        return {block: gain * auto.rates[block] for block, gain in gains.items()}

    assert auto.judge(0, train()).quality == 0
    trial = auto.judge(0, train())
    assert (trial.accepted, trial.quality) == (True, 1.0)
    rates = [auto.rates[block] for block in BLOCKS]
    assert all(low < high for low, high in pairwise(rates))


@given(
    st.lists(st.none() | st.lists(st.floats(0, 1e12), min_size=4, max_size=4), max_size=25),
    st.integers(0, 24),
)
def test_a_log_replayed_goes_on_as_if_nothing_had_happened(
    measured: list[list[float] | None], stop: int
) -> None:
    def follow(auto: AutoLR, epoch: int, values: list[list[float] | None]) -> list[Trial]:
        trials = []
        for value in values:
            if value is None and auto.trial == 1:
                continue
            trials.append(auto.judge(epoch, None if value is None else by_block(*value)))
            epoch += trials[-1].accepted
        return trials

    through = follow(tuner(4, max_trials=3), 0, measured)
    told: list[list[float] | None] = [list(trial.variations.values()) or None for trial in through]
    resumed = tuner(4, max_trials=3)
    resumed.replay(through[:stop])
    epoch = sum(trial.accepted for trial in through[:stop])
    assert follow(resumed, epoch, told[stop:]) == through[stop:]
    assert all(
        trial.quality == sorting_quality([*trial.variations.values()])
        for trial in through
        if trial.variations
    )
