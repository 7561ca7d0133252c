"""`hdhe study`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

# What needs torch is imported inside the functions, so that `hdhe --help` answers at once.


def study(
    name: Annotated[
        str,
        typer.Argument(
            help="pruning, layer-rates, auto-lr, reduction, sharing, diversity, ensemble, losses, beyond; of "
            "distillation: fast-training, small-data, compression, overhaul-ablation, activation-overlap, transfer."
        ),
    ],
    data: Annotated[
        str, typer.Option(help="A known data set, a folder with one folder a class, or a manifest.")
    ],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="A backbone of `hdhe models`; for studies of distillation the student, if not theirs."
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where a known data set lies.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each row, with seeds 0, 1, ...")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; default: runs/study-NAME-DATA[-BACKBONE].")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The recipe that rows change; by default one that suits the backbone.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace one value in all rows: schedule.epochs=5. Repeatable."
        ),
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Only these rows, between commas; `*` stands for anything: '* at 1+1'.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time; they share the cores.")] = 1,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="Take finished runs of the same recipe from beneath this folder. Repeatable."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK=FOLDER",
            help="A trained teacher, for studies of distillation: a finished run. For transfer NETWORK[=WEIGHTS]: "
            "ImageNet's, or a state dict. Repeatable.",
        ),
    ] = None,
    teacher_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Replace one value in the teachers' rows, over --set. Repeatable."
        ),
    ] = None,
) -> None:
    """Run an experiment of the papers on any data: a table with mean and spread over seeds, and a plot.

    The same command goes on after a stop; finished runs are not run again.
    """
    from retrieval.errors import UserError
    from retrieval.processes import check_alone
    from training.studies.base import Base, open_base, slug
    from training.studies.catalogue import study_of
    from training.studies.distillation.base import open_distillation_base
    from training.studies.kinds import KINDS
    from training.studies.laboratory import Laboratory
    from training.studies.lock import locked
    from training.studies.plan import PlannedRow, plan_study
    from training.studies.processes import Processes
    from training.studies.report import Circumstances, write_study
    from training.studies.results import read_results
    from training.studies.table import row_in_words
    from training.studies.teachers import folders_of, read_teachers

    check_alone("hdhe study")
    if jobs < 1:
        raise UserError(f"--jobs must be 1 or more; got {jobs}")
    given = read_teachers(teacher or ())
    chosen = study_of(name, backbone, data=data, teachers=given)
    settings, of_teachers = tuple(set_ or ()), tuple(teacher_set or ())
    base: Base[Any]
    if chosen.kind == "distillation":
        base = open_distillation_base(
            recipe, chosen, data=data, root=root, settings=settings, teacher_settings=of_teachers
        )
    elif backbone is None or of_teachers:
        raise UserError(f"study {name} fine-tunes and has no teachers; leave out --teacher-set")
    else:
        base = open_base(recipe, chosen.base, data=data, root=root, backbone=backbone, settings=settings)
    parts = (name, slug(Path(data).name), slug(backbone or ""))
    folder = out or Path("runs") / "-".join(["study", *(part for part in parts if part)])
    wanted = [part.strip() for part in rows.split(",") if part.strip()] if rows is not None else []
    if rows is not None and not wanted:
        raise UserError("--rows names no row; leave it out to run all")
    plan = plan_study(
        chosen,
        base,
        folder,
        seeds=seeds,
        rows=wanted,
        reuse=tuple(reuse or ()),
        teachers=folders_of(chosen, given),
    )
    shared = base.recipe()
    threads = max(1, _cores() // jobs)
    images = KINDS[chosen.kind].count_images(shared)
    circumstances = Circumstances(shared, data, images, _command(), seeds, jobs, threads)
    laboratory = Laboratory(
        plan, Processes(threads), threads, report=lambda line: typer.echo(f"  {line}", err=True)
    )

    def tell(planned: PlannedRow) -> None:
        write_study(plan, circumstances, laboratory.failures)
        for result in read_results(plan, laboratory.failures):
            if result.name == planned.row.name:
                typer.echo(row_in_words(chosen, result))

    selected = [planned for planned in plan.rows if planned.selected]
    needed = [run for planned in selected for trial in planned.trials for run in trial.runs]
    needed += [run.teacher for run in needed if run.teacher is not None]
    runs = {run.folder: run.finished for run in needed}
    typer.echo(
        f"{name}: {len(selected)} rows, {len(runs)} runs, of which {sum(runs.values())} are finished; "
        f"{circumstances.images}",
        err=True,
    )
    with locked(folder):
        try:
            laboratory.run(jobs, tell)
        except KeyboardInterrupt:
            typer.echo("hdhe: stopped; the same command goes on from the last checkpoints", err=True)
            raise typer.Exit(130) from None
    typer.echo(f"the table is {folder / 'table.md'}, the plot {folder / 'plot.png'}", err=True)
    if laboratory.failures:
        count = len(laboratory.failures)
        typer.echo(f"hdhe: {count} run{'s' * (count > 1)} failed; the same command tries again", err=True)
        raise typer.Exit(1)


def _cores() -> int:
    """What this process may use; HDHE_THREADS says it for all commands."""
    if "HDHE_THREADS" in os.environ:
        return int(os.environ["HDHE_THREADS"])
    # Where it exists, this knows of taskset and container limits that cpu_count does not.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _command() -> str:
    return "hdhe " + shlex.join(sys.argv[1:])
