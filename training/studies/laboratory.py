"""Doing what a plan asks for: its runs, several at a time, each row told as soon as it is there.

A run lies in its own folder and survives any crash, so a study is resumed by being started again: finished runs are
passed over, a killed one goes on from its checkpoint, one that failed is tried again.
"""

from __future__ import annotations

import shutil
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from training.run_folder import RunFolder
from training.studies.plan import Plan, PlannedRow, Trial
from training.studies.processes import Processes, StoppedError
from training.studies.results import foremost, read_outcome
from training.studies.runs import PlannedRun

Failures = dict[tuple[str, int], str]
"""Why a trial failed, by row and seed."""


class Laboratory:
    """Runs the selected rows of a plan."""

    def __init__(self, plan: Plan, processes: Processes, threads: int, report: Callable[[str], None]) -> None:
        """threads: of each process. report: takes a line about each run."""
        self._plan = plan
        self._processes = processes
        self._threads = threads
        self._report = report
        self._guards: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._failed: dict[Path, str] = {}
        self.failures: Failures = {}

    def run(self, jobs: int, row_done: Callable[[PlannedRow], None]) -> None:
        """Do all that is missing, `jobs` trials at a time. row_done: called as each row is complete or failed.

        On KeyboardInterrupt the processes are ended and it is raised again.
        """
        rows = [planned for planned in self._plan.rows if planned.selected]
        left = {planned.row.name: len(planned.trials) for planned in rows}
        with ThreadPoolExecutor(jobs) as pool:
            coming: dict[Future[None], PlannedRow] = {
                pool.submit(self._try, planned, trial): planned
                for planned in sorted(rows, key=_waiting)
                for trial in planned.trials
            }
            try:
                waiting = set(coming)
                while waiting:
                    # In short waits, because an unlimited one keeps Ctrl-C waiting on some systems.
                    done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                        planned = coming[future]
                        left[planned.row.name] -= 1
                        if not left[planned.row.name]:
                            row_done(planned)
            except BaseException:
                self._processes.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _try(self, planned: PlannedRow, trial: Trial) -> None:
        try:
            failure = self._do(planned, trial)
        except StoppedError:
            return
        where = f"{planned.row.name}, seed {trial.seed}"
        if failure is not None:
            self.failures[planned.row.name, trial.seed] = failure
            self._report(f"{where} failed: {failure}")
            return
        outcome = read_outcome(trial)
        if outcome is not None:
            name, value = foremost(self._plan.study, outcome)
            self._report(f"{where}: {name} {100 * value:.1f}, {outcome.minutes:.1f} min")

    def _do(self, planned: PlannedRow, trial: Trial) -> str | None:
        for run in trial.runs:
            failure = self._have(run)
            if failure is not None:
                return failure
        if trial.score is not None and read_outcome(trial) is None:
            task = {
                "kind": self._plan.study.kind,
                "recipe": self._recipe(trial.runs[0]),
                "bundles": [str(run.folder / "bundle") for run in trial.runs],
                "score": str(trial.score),
            }
            return self._processes.do(task, trial.score.with_suffix(".log"))
        return None

    def _have(self, run: PlannedRun) -> str | None:
        """See that the run has finished, and its teacher's before it."""
        if run.teacher is not None:
            failure = self._have(run.teacher)
            if failure is not None:
                return f"its teacher failed: {failure}"
        # Rows with the same recipe or teacher share a run, which one of them trains while the others wait.
        with self._guards[run.folder]:
            if run.folder not in self._failed and not run.finished:
                failure = self._train(run)
                if failure is not None:
                    self._failed[run.folder] = failure
        return self._failed.get(run.folder)

    def _train(self, run: PlannedRun) -> str | None:
        task = {"kind": self._plan.study.kind, "recipe": self._recipe(run), "folder": str(run.folder)}
        failure = self._processes.do(task, run.folder.with_suffix(".log"))
        if failure is None:
            # Nothing goes on from a finished run, and a study has many.
            for checkpoints in list(run.folder.rglob(RunFolder(run.folder).checkpoints.name)):
                shutil.rmtree(checkpoints, ignore_errors=True)
        return failure

    def _recipe(self, run: PlannedRun) -> dict[str, object]:
        values = run.recipe.model_dump(mode="json")
        # Decoding threads beyond the process's share would take cores from the others.
        values["machine"]["workers"] = values["machine"]["workers"] or self._threads
        return values


def _waiting(planned: PlannedRow) -> int:
    """Teachers first, and while they train, rows that do without."""
    if planned.row.teaches:
        return 0
    return 1 if planned.row.teacher is None else 2
