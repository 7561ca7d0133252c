"""The files of a study beside its runs: study.json with all figures, table.md, plot.png."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from training.run_folder import write_whole
from training.sections.section import RunSection
from training.studies.kind import Images
from training.studies.kinds import KINDS
from training.studies.plan import Plan
from training.studies.plot import draw_study
from training.studies.results import RowResult, Spread, read_results
from training.studies.study import Study
from training.studies.table import markdown

_LIBRARIES = ("torch", "torchvision", "pytorch-metric-learning", "numpy")


@dataclass(frozen=True)
class Circumstances:
    """What a table must say beside its figures. recipe: what the rows have in common, of the study's kind."""

    recipe: RunSection
    data: str
    images: Images
    command: str
    seeds: int
    jobs: int
    threads: int


def write_study(plan: Plan, circumstances: Circumstances, failures: Mapping[tuple[str, int], str]) -> None:
    """Write the three files anew from what the runs' folders hold. A crash leaves each file old or new (or the plot
    cut short); the next start of the study makes them again.
    """
    results = read_results(plan, failures)
    plan.out.mkdir(parents=True, exist_ok=True)
    document = _document(plan, circumstances, results)
    write_whole(plan.out / "study.json", json.dumps(document, indent=2) + "\n")
    caption = [settings_in_words(plan.study, circumstances), machine_in_words(circumstances)]
    write_whole(plan.out / "table.md", markdown(plan.study, results, caption))
    about = KINDS[plan.study.kind].about(circumstances.recipe)
    draw_study(plan.study, results, plan.out / "plot.png", about=about)


def settings_in_words(study: Study, circumstances: Circumstances) -> str:
    """Data, protocol and the settings that rows share unless their name says otherwise."""
    last = circumstances.seeds - 1
    return (
        f"{circumstances.data}: {circumstances.images}. {KINDS[study.kind].settings(circumstances.recipe)} "
        f"Seed{'s 0 to ' + str(last) if last else ' 0'}."
    )


def machine_in_words(circumstances: Circumstances) -> str:
    """The command, and where it ran."""
    machine = _machine(circumstances)
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    jobs = circumstances.jobs
    return (
        f"`{circumstances.command}` on {machine['device']}, {machine['cores']} cores, {jobs} "
        f"run{'s' * (jobs > 1)} at a time with {circumstances.threads} thread{'s' * (circumstances.threads > 1)} each; "
        f"Python {machine['python']}, {versions}."
    )


def _machine(circumstances: Circumstances) -> dict[str, Any]:
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "cores": os.cpu_count(),
        "jobs": circumstances.jobs,
        "threads": circumstances.threads,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _document(plan: Plan, circumstances: Circumstances, results: Sequence[RowResult]) -> dict[str, Any]:
    planned = {row.row.name: row for row in plan.rows}
    return {
        "study": plan.study.name,
        "question": plan.study.question,
        "claim": plan.study.claim,
        "command": circumstances.command,
        "images": asdict(circumstances.images),
        "recipe": circumstances.recipe.model_dump(mode="json", exclude={"name", "seed"}),
        "machine": _machine(circumstances),
        "rows": [
            {
                "name": result.name,
                "overrides": dict(planned[result.name].row.overrides),
                "models": planned[result.name].row.models,
                "teacher_row": planned[result.name].row.teacher,
                **asdict(result.facts),  # type: ignore[call-overload]  # a protocol cannot say that it is a dataclass
                "scores": {
                    name: asdict(Spread.of([outcome.scores[name] for outcome in result.outcomes]))
                    for name in (result.outcomes[0].scores if result.outcomes else ())
                },
                "published": dict(result.published),
                "seeds": [
                    asdict(outcome)
                    | {
                        "runs": [
                            _relative(run.folder, plan.out)
                            for trial in planned[result.name].trials
                            if trial.seed == outcome.seed
                            for run in trial.runs
                        ]
                    }
                    for outcome in result.outcomes
                ],
                "failures": list(result.failures),
            }
            for result in results
        ],
    }


def _relative(folder: Path, out: Path) -> str:
    return os.path.relpath(folder, out)
