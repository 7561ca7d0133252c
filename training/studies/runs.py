"""The training runs of a study: where they lie, what they wait for, and whether they are done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from retrieval.errors import UserError
from training.recipe_file import RecipeError, first_difference, load_recipe_of
from training.run_folder import RunFolder
from training.sections.section import RunSection
from training.studies.kind import Kind


@dataclass(frozen=True)
class PlannedRun:
    """One training run: its folder, its recipe, and the run of the teacher that must have finished before it."""

    kind: Kind[Any]
    folder: Path
    recipe: RunSection
    teacher: PlannedRun | None = None

    @property
    def finished(self) -> bool:
        """Whether the run is there, whole, and of this recipe."""
        return RunFolder(self.folder).finished and self.difference() is None

    @property
    def document(self) -> dict[str, Any]:
        """What a finished run's model says of itself."""
        return read_document(RunFolder(self.folder).bundle)

    def difference(self) -> str | None:
        """In what the run that lies in the folder has another recipe; None if there is none or it is this one's."""
        folder = RunFolder(self.folder)
        if not folder.recipe.is_file():
            return None
        there = load_recipe_of(self.kind.recipe, folder.recipe, [f"name={self.recipe.name}"])
        # A run that has to go on is compared by train as strictly as here.
        if folder.finished and self.kind.identity(there) == self.kind.identity(self.recipe):
            return None
        return first_difference(there, self.recipe)


def read_document(bundle: Path) -> dict[str, Any]:
    """model.json. Raises OSError or ValueError where there is none."""
    written: dict[str, Any] = json.loads((bundle / "model.json").read_text(encoding="utf-8"))
    return written


def finished_runs(kind: Kind[Any], folders: Sequence[Path]) -> dict[str, Path]:
    """The finished runs beneath folders, by their recipes' identity; those of other kinds are passed over. Raises
    UserError for what is no folder, RecipeError for a damaged recipe.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--reuse {folder} is not a folder")
        for written in sorted(folder.rglob("seed-*/recipe.yaml")):
            if RunFolder(written.parent).finished and _is_of(kind, written):
                found.setdefault(kind.identity(load_recipe_of(kind.recipe, written)), written.parent)
    return found


def _is_of(kind: Kind[Any], file: Path) -> bool:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"{file} is damaged: {error}; delete its run") from error
    return isinstance(values, dict) and kind.mark in values
