"""Teachers that were trained before: what `--teacher NETWORK=FOLDER` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval.errors import UserError
from training.run_folder import RunFolder
from training.studies.kind import Kind
from training.studies.runs import PlannedRun, read_document
from training.studies.study import Study

TEACHER = "teacher "
"""Before a network's name: the row that trains it to teach."""


def read_teachers(given: Sequence[str]) -> dict[str, str]:
    """From `NETWORK=FOLDER`, each, to folders by network; '' where nothing is said but the network. Raises UserError
    for a network that is named twice or not at all.
    """
    found: dict[str, str] = {}
    for each in given:
        network, _, where = each.partition("=")
        if not network:
            raise UserError(
                f"--teacher needs NETWORK=FOLDER, for example wrn-22-4=runs/teacher; got {each!r}"
            )
        if network in found:
            raise UserError(f"--teacher {network} is given twice")
        found[network] = where
    return found


def folders_of(study: Study, given: Mapping[str, str]) -> dict[str, Path]:
    """What was given, as folders, to a study that trains teachers; nothing for one whose teachers come as weights.
    Raises UserError for a network without a folder.
    """
    if not any(row.teaches for row in study.rows):
        return {}
    for network, where in given.items():
        if not where:
            raise UserError(f"--teacher {network} needs a folder: {network}=FOLDER, of a finished run")
    return {network: Path(where).expanduser() for network, where in given.items()}


def given_teachers(study: Study, kind: Kind[Any], folders: Mapping[str, Path]) -> dict[str, PlannedRun]:
    """Finished runs by the row that they stand for.

    folders: by network; a run's folder or the bundle in it. Raises UserError for a network that does not teach in this
    study, and for a folder without a finished run of that network.
    """
    networks = [row.name.removeprefix(TEACHER) for row in study.rows if row.teaches]
    found = {}
    for network, folder in folders.items():
        if network not in networks:
            teach = f"those that teach are {', '.join(networks)}" if networks else "it trains no teachers"
            raise UserError(f"--teacher {network} is not of study {study.name}: {teach}")
        found[TEACHER + network] = _given(kind, network, folder)
    return found


def _given(kind: Kind[Any], network: str, folder: Path) -> PlannedRun:
    where = f"--teacher {network}={folder}"
    bundle = RunFolder(folder).bundle
    if folder.name == bundle.name and (folder / "model.json").is_file():
        bundle = folder
    if not RunFolder(bundle.parent).finished:
        raise UserError(f"{where}: there is no finished run; give the folder of one, or its bundle/")
    try:
        document = read_document(bundle)
        there, recipe = document["network"], kind.recipe.model_validate(document["recipe"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{where}: its model is no classifier, or damaged; train it with hdhe distill"
        ) from error
    if there != network:
        raise UserError(f"{where}: its network is {there}")
    return PlannedRun(kind, bundle.parent, recipe)
