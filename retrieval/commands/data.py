"""`hdhe data`: the known data sets, a check of any data set, and the built-in sample catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(
    help="Known data sets, checks of a data set, the sample catalogue.", no_args_is_help=True
)


@data_app.command("list")
def list_datasets(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """List the known data sets: what is in each, and whether it is where it is expected."""
    from retrieval.datasets import DATASETS, default_root
    from retrieval.errors import DataError

    rows = []
    for name, known in DATASETS.items():
        root = default_root(name)
        status = "absent"
        if root.is_dir():
            try:
                known.read(root)
                status = "present"
            except DataError as error:
                status = f"not as expected: {error}"
        splits = {split: {"images": c.images, "classes": c.classes} for split, c in known.counts.items()}
        rows.append(
            {"name": name, "title": known.title, "root": str(root), "status": status, "splits": splits}
        )
        if not as_json:
            typer.echo(f"{name:<16}{known.title}")
            for split, count in known.counts.items():
                typer.echo(f"{'':<16}  {split:<11}{count.images:>9,} images{count.classes:>7,} classes")
            typer.echo(f"{'':<16}  {root}: {status}")
    if as_json:
        typer.echo(json.dumps(rows, indent=2))


@data_app.command("check")
def check(
    dataset: Annotated[
        str, typer.Argument(metavar="NAME|DIR", help="A known set, a folder or a .csv manifest.")
    ],
    root: Annotated[Path | None, typer.Option(help="Where a known set lies, if not as expected.")] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every image; takes minutes.")] = False,
) -> None:
    """Check counts and layout of a data set, and that every file is there. Exit code 1 if a file is amiss."""
    from concurrent.futures import ThreadPoolExecutor

    from retrieval.datasets import open_dataset
    from retrieval.datasets.dataset import decoding_error
    from retrieval.datasets.folder import readable_files
    from retrieval.progress import track

    opened = open_dataset(dataset, root)
    paths = [record.path for record in opened.records]
    # Folders and manifests have been through the same look at each file when they were opened.
    readable, problems = readable_files(track(paths, total=len(paths), label="looking", unit="files"))
    problems = [*opened.problems, *problems]
    if decode:
        with ThreadPoolExecutor() as pool:
            errors = pool.map(decoding_error, readable)
            decoded = track(errors, total=len(readable), label="decoding", unit="images")
            problems += [error for error in decoded if error is not None]
    for problem in problems:
        typer.echo(problem)
    for split in opened.split_names:
        subset = opened.subset(split)
        typer.echo(f"{subset.name}: {len(subset):,} images of {len(subset.classes):,} classes")
    hint = "" if decode else "; images were not decoded: repeat with --decode to find damaged ones"
    typer.echo(f"{len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}{hint}")
    if problems:
        raise typer.Exit(1)


@data_app.command("unpack-cifar")
def unpack(
    binary: Annotated[
        Path, typer.Argument(metavar="BINARY", help="Folder of the .bin files of CIFAR-10 or CIFAR-100.")
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to make; not there yet, or empty.")
    ],
) -> None:
    """Turn the binary version of CIFAR-10 or CIFAR-100 into PNG files, a folder a split and a class."""
    from retrieval.datasets.cifar_binary import unpack_cifar

    written = unpack_cifar(binary, directory)
    typer.echo(f"{written['train']:,} images to train and {written['test']:,} to test in {directory}")


@data_app.command("sample")
def sample(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to make; not there yet, or empty.")
    ],
    classes: Annotated[int, typer.Option(help="Number of designs.")] = 60,
    images: Annotated[int, typer.Option(help="Photos of each design.")] = 24,
    pixels: Annotated[int, typer.Option(help="Side of the square photos.")] = 160,
    seed: Annotated[int, typer.Option(help="Another seed gives other designs.")] = 0,
) -> None:
    """Render the sample catalogue: glazed vases that differ finely, free of any licence."""
    from retrieval.datasets.sample_catalogue import render

    render(directory, seed=seed, classes=classes, images=images, pixels=pixels)
    typer.echo(f"{classes} designs x {images} photos in {directory}")
