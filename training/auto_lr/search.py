"""AutoLR around the epochs of the loop: train an epoch, judge it, and keep it or put everything back.

What a trial starts from is kept in memory, so that a failed one costs its training and nothing else. The log of the
trials is on disk before a trial has any effect, and a resumed run goes on in the trial it was in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor

from training.auto_lr.plot import draw_trials
from training.auto_lr.trial_log import TrialLog, in_words
from training.auto_lr.tuner import AutoLR
from training.auto_lr.weight_variation import block_variations
from training.learner import Learner
from training.optimiser import restart
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.sections.auto_lr import AutoLRSection


class RateSearch:
    """The trials of one run. In a run of many processes all judge alike, and the first one writes."""

    def __init__(
        self,
        section: AutoLRSection,
        recipe: Recipe,
        folder: RunFolder,
        model: Learner,
        optimiser: AcceleratedOptimizer,
        *,
        rates: Mapping[int, float],
        epochs_done: int,
        write: bool,
    ) -> None:
        """rates: by block, what the recipe starts with, and not what a checkpoint may have put into the optimiser: the
        log tells all that came of them. epochs_done: what the checkpoint holds; trials that the log has beyond it are
        dropped.
        """
        self._model, self._optimiser, self._folder = model, optimiser, folder
        self._title, self._write = recipe.name, write
        self._tuner = AutoLR(section, rates, first_epoch=recipe.schedule.frozen_epochs)
        self._log = TrialLog(folder.trials, epochs_done=epochs_done, write=write)
        self._tuner.replay(self._log.trials)
        self._start: dict[str, Tensor] = {}

    @property
    def may_diverge(self) -> bool:
        """Whether there are rates to go back to, should this trial's turn out too high."""
        return self._tuner.trial > 1

    def start(self) -> None:
        """Before a trial: keep the weights, forget the momentum, set the trial's rates."""
        self._start = {name: value.clone() for name, value in self._model.state_dict().items()}
        restart(self._optimiser, self._tuner.rates)

    def end(self, epoch: int, *, diverged: bool, report: Callable[[str], None]) -> bool:
        """After a trial of an epoch, counted from 0: whether it counts. If not, the weights are put back."""
        network = self._model.network
        if diverged:
            trial = self._tuner.judge(epoch, None)
        else:
            before = {
                name.removeprefix("network."): value
                for name, value in self._start.items()
                if name.startswith("network.")
            }
            trial = self._tuner.judge(epoch, block_variations(network, before))
        self._log.add(trial)
        report(in_words(trial))
        if not trial.accepted:
            with torch.no_grad():
                self._model.load_state_dict(self._start)
        return trial.accepted

    def draw(self) -> None:
        """The figures of all trials so far."""
        if self._write:
            draw_trials(self._log.trials, self._folder.trials_plot, title=self._title)
