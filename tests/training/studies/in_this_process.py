"""A stand-in for `Processes`: the tasks of a study, done here and now, and remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.failure import TrainingFailedError
from training.studies.kinds import KINDS
from training.studies.processes import Processes, StoppedError
from training.studies.together import score_together


class InThisProcess(Processes):
    """interrupt: the number of the task, from 0, at which Ctrl-C comes."""

    def __init__(self, interrupt: int | None = None) -> None:
        super().__init__(threads=1)
        self.tasks: list[dict[str, Any]] = []
        self.stopped = False
        self._interrupt = interrupt

    @property
    def trained(self) -> list[str]:
        """The folders that were trained in, as `row/seed-S`."""
        folders = [Path(task["folder"]) for task in self.tasks if "folder" in task]
        return ["/".join(folder.parts[-2:]) for folder in folders]

    def do(self, task: dict[str, Any], log: Path) -> str | None:
        if self.stopped:
            raise StoppedError
        if len(self.tasks) == self._interrupt:
            raise KeyboardInterrupt
        self.tasks.append(task)
        kind = KINDS[task["kind"]]
        recipe = kind.recipe.model_validate(task["recipe"])
        if "score" in task:
            score = score_together([Path(bundle) for bundle in task["bundles"]], recipe)
            Path(task["score"]).write_text(json.dumps(score))
            return None
        folder = Path(task["folder"])
        try:
            kind.train(recipe, folder, resume=(folder / "recipe.yaml").exists())
        except TrainingFailedError as error:
            return str(error)
        return None

    def stop(self) -> None:
        self.stopped = True
