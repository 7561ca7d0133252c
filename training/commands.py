"""`hdhe train`, `hdhe distill` and `hdhe study`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.errors import UserError
from retrieval.processes import check_alone, let_others_speak, own_place
from training.studies.command import study

if TYPE_CHECKING:
    from training.sections.section import RunSection

_Out = Annotated[Path | None, typer.Option(help="The run's folder; default: runs/NAME OF THE RECIPE.")]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]


def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or the name of a packaged one: cub200_hdhe, ...")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace one value of the recipe: schedule.epochs=5. Repeatable.",
        ),
    ] = None,
    out: _Out = None,
    resume: _Resume = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Build everything, take one step on made-up images in the data set's layout, print the cost and "
            "the published figures; needs no data and keeps nothing.",
        ),
    ] = False,
) -> None:
    """Train a network by a recipe; leaves a run folder with the model in its bundle/."""
    # Imported here, so that `hdhe --help` does not wait for torch.
    from training.dry_run import dry_run as try_out
    from training.dry_run_report import lines_of
    from training.loop import train as train_recipe
    from training.recipe_file import load_recipe

    loaded = load_recipe(recipe, set_ or ())
    if dry_run:
        check_alone("--dry-run")
        if resume or out is not None:
            raise UserError("--dry-run keeps nothing: leave out --out and --resume")
        for line in lines_of(try_out(loaded, lambda line: typer.echo(line, err=True)), loaded):
            typer.echo(line)
        return
    _run(lambda folder, report: train_recipe(loaded, folder, resume=resume, report=report), loaded, out)


def distill(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe file, or the name of a packaged one: cifar10_ab, cars196_dev_student, ..."
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace one value of the recipe: teacher.model=runs/teacher/bundle. Repeatable.",
        ),
    ] = None,
    out: _Out = None,
    resume: _Resume = False,
) -> None:
    """Teach a light student what a trained network knows; leaves a run folder with the student in its bundle/."""
    # Imported here, so that `hdhe --help` does not wait for torch.
    from training.distillation.loop import distill as distill_recipe
    from training.distillation.recipe import DistillationRecipe
    from training.recipe_file import load_recipe_of

    loaded = load_recipe_of(DistillationRecipe, recipe, set_ or ())
    _run(lambda folder, report: distill_recipe(loaded, folder, resume=resume, report=report), loaded, out)


def _run(job: Callable[[Path, Callable[[str], None]], Path], recipe: RunSection, out: Path | None) -> None:
    """Do a run in its folder, print where its model is, and turn what may stop it into exit codes."""
    from training.device import leave_processes, lost_process
    from training.failure import TrainingFailedError

    first = own_place().rank == 0
    goes_on = "the same command with --resume goes on from the last checkpoint"
    try:
        model = job(out or Path("runs") / recipe.name, lambda line: typer.echo(line, err=True))
    except TrainingFailedError as error:
        let_others_speak()
        typer.echo(f"hdhe: {error}", err=True)
        raise typer.Exit(1) from error
    except RuntimeError as error:
        if not lost_process(error):
            raise
        let_others_speak(always=True)
        typer.echo(f"hdhe: another process of this run is gone, so this one stops too; {goes_on}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        if first:
            typer.echo(f"hdhe: stopped; {goes_on}", err=True)
        raise typer.Exit(130) from None
    leave_processes()
    if first:
        typer.echo(model)


def register(app: typer.Typer) -> None:
    """Add this package's commands to the front door."""
    app.command("train")(train)
    app.command("distill")(distill)
    app.command("study")(study)
