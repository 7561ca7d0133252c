"""AutoLR: the rates of the blocks, found by training each epoch until the blocks' weight variations ascend.

Source: Ro & Choi, "AutoLR: Layer-wise Pruning and Auto-tuning of Learning Rates in Fine-tuning of Deep Networks" (AAAI
2021). An epoch is trained with the current rates, always from the same weights and with a fresh optimiser. If the
variations ascend well enough, the trial counts and its rates are kept for the next epoch; if not, it is thrown away,
the rates are changed and the epoch is trained again.

This is the decision alone, a function of the variations that it was told. Its log is therefore its state: a run that
was killed replays the lines it wrote and goes on in the trial it was in.

Beyond the authors' code: a limit on trials and on rates, ties, and trials that diverge when a rate comes out too high.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from retrieval.errors import UserError
from training.auto_lr.sorting import first_target, repaired_target, sorting_quality, updated_rates
from training.layer_rates import STEM
from training.sections.auto_lr import AutoLRSection


@dataclass(frozen=True)
class Trial:
    """One training of one epoch, and what was decided on it.

    epoch: counted from 0. number: of the trial within its epoch, from 1. rates: what it was trained with, by block,
    the stem being 0. variations: what came of it, by block from 1; empty if it diverged. target: the variations that
    the rates aimed at; None in an epoch's first trial, which takes the rates of the epoch before. quality, threshold:
    of its sorting, and what it needed. accepted: whether the epoch is over. why: in words.
    """

    epoch: int
    number: int
    rates: dict[int, float]
    variations: dict[int, float]
    target: dict[int, float] | None
    quality: float
    threshold: float
    accepted: bool
    why: str


def threshold(section: AutoLRSection, epoch: int) -> float:
    """The sorting quality that an epoch, counted from 0, must reach.

    With the authors' constants 0.94 x 0.99^epoch down to 0.792 in epoch 17, the first below the floor of 0.8, and that
    ever after; 0.94 throughout when strict.
    """
    value = section.threshold
    for _ in range(0 if section.strict else epoch):
        if value <= section.floor:
            break
        value *= section.decay
    return value


class AutoLR:
    """The rates to train with now, and the judge of what they gave.

    rates: learning rate by block, the stem being 0, before the schedule's factor; a frozen block has none.
    """

    def __init__(self, section: AutoLRSection, rates: Mapping[int, float], *, first_epoch: int = 0) -> None:
        """rates: to start with. first_epoch: the first that is judged, counted from 0; in earlier ones the blocks do
        not learn yet. Raises UserError where a rate is zero, because no factor changes it.
        """
        still = [block for block, rate in rates.items() if block != STEM and rate <= 0]
        if still:
            raise UserError(
                f"auto_lr changes rates by factors, and block {still[0]} starts at zero; give it a factor above zero "
                "in optimiser.block_factors, or freeze low blocks by network.freeze_until"
            )
        self.rates = dict(rates)
        self._section = section
        self._first_epoch = first_epoch
        self._blocks = sorted(block for block in rates if block != STEM)
        self._failed: list[Trial] = []  # of the epoch that is being trained
        self._target: dict[int, float] | None = None
        self._repeats = False  # the best trial is being trained again, to be taken as it is

    @property
    def trial(self) -> int:
        """The number, from 1, of the trial that is to be trained now."""
        return len(self._failed) + 1

    def replay(self, trials: Iterable[Trial]) -> None:
        """Go on after these trials, which a tuner like this one made."""
        for trial in trials:
            self.judge(trial.epoch, trial.variations or None)

    def judge(self, epoch: int, variations: Mapping[int, float] | None) -> Trial:
        """Decide on an epoch that was trained with `rates`, and set `rates` for what is trained next.

        epoch: counted from 0. variations: weight variation by block from 1; blocks without a rate are passed over. None
        for a trial that diverged, which may be any but an epoch's first: its rates go half way, in ratio, back to those
        of the best sorted trial. After max_trials the best sorted one counts. If that is not the last, its rates are
        set, and what is trained with them next is accepted as it is: the same again, where an epoch's seeds do not
        depend on the trial. Raises ValueError for a variation that is not a number.
        """
        measured = {} if variations is None else {block: variations[block] for block in self._blocks}
        if not measured and not self._failed:
            raise ValueError("the first trial of an epoch diverged, so there are no rates to go back to")
        if not all(math.isfinite(value) and value >= 0 for value in measured.values()):
            raise ValueError(f"weight variations must be finite and not negative; got {measured}")
        judged = Trial(
            epoch,
            self.trial,
            self.rates,
            measured,
            self._target,
            quality=sorting_quality(list(measured.values())) if measured else 0.0,
            threshold=threshold(self._section, epoch - self._first_epoch),
            accepted=False,
            why="not sorted" if measured else "diverged",
        )
        limit, last = self._section.max_trials, self.trial >= self._section.max_trials
        sound = [trial for trial in (*self._failed, judged) if trial.variations]
        best = max(sound, key=lambda trial: (trial.quality, trial.number))
        if self._repeats and measured:
            return self._accept(judged, f"repeats the best sorted of {limit}")
        if measured and judged.quality >= judged.threshold:
            return self._accept(judged, "sorted")
        if last and best is judged:
            return self._accept(judged, f"the best sorted of {limit}")
        if last:
            self.rates, self._target, self._repeats = best.rates, best.target, True
        elif not measured:
            self.rates = {block: math.sqrt(rate * best.rates[block]) for block, rate in self.rates.items()}
        else:
            judged = self._aim(judged)
        self._failed.append(judged)
        return judged

    def _accept(self, judged: Trial, why: str) -> Trial:
        self._failed, self._target, self._repeats = [], None, False
        return replace(judged, accepted=True, why=why)

    def _aim(self, failed: Trial) -> Trial:
        """Set the rates for another trial; the target stays what it became when the epoch first failed."""
        values = list(failed.variations.values())
        if self._target is None and failed.epoch == self._first_epoch:
            wanted, flat = first_target(values, self._section.min_factor, self._section.max_factor)
            self._target = dict(zip(self._blocks, wanted, strict=True))
            if flat:
                failed = replace(
                    failed, why="not sorted; the line of targets would not ascend, so it has no factors"
                )
        elif self._target is None:
            self._target = dict(zip(self._blocks, repaired_target(values), strict=True))
        found = updated_rates(
            [self.rates[block] for block in self._blocks],
            values,
            list(self._target.values()),
            min_rate=self._section.min_rate,
            max_rate=self._section.max_rate,
        )
        stem = {STEM: self._section.stem_factor * found[0]} if STEM in self.rates else {}
        self.rates = stem | dict(zip(self._blocks, found, strict=True))
        return failed
