"""`hdhe whiten`: a model that scales the directions of its embedding by how much images of a class differ in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrieval.errors import UserError


def whiten(
    model: Annotated[str, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS].")],
    data: Annotated[
        str,
        typer.Option(help="Labelled images: a data set, a folder with one folder a class, or a manifest."),
    ],
    out: Annotated[Path, typer.Option(help="The new bundle's folder.")],
    split: Annotated[
        str, typer.Option(help="Split to whiten by; not one that is scored afterwards.")
    ] = "train",
    size: Annotated[
        int | None, typer.Option(min=1, help="Length of the new embedding; all of it otherwise.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where a known data set lies.")] = None,
) -> None:
    """Whiten a model's embedding by labelled images; the model itself is not trained."""
    from retrieval.bundle import load_bundle, save_bundle
    from retrieval.datasets import open_dataset
    from retrieval.left_out import left_out
    from retrieval.whitening import whiten as whiten_model

    if out.exists():
        raise UserError(f"{out} is there already; give --out a new folder")
    bundle = load_bundle(model)
    dataset = open_dataset(data, root)
    for problem in dataset.problems:
        typer.echo(left_out(problem), err=True)
    subset = dataset.subset(split)
    network, images = whiten_model(bundle, subset, size, report=lambda line: typer.echo(line, err=True))
    whitened_by = {
        "data": dataset.name,
        "split": split,
        "images": images,
        "classes": len(subset.classes),
    }
    save_bundle(
        out,
        network,
        bundle.preprocessing,
        recipe={**bundle.recipe, "whitened_by": whitened_by},
        scores=[],
        pretraining=bundle.pretraining,
    )
    typer.echo(
        f"{out}: embeddings of {network.embedding_size:,} numbers, whitened by {images:,} images of "
        f"{len(subset.classes):,} classes"
    )
    if bundle.space is not None:
        typer.echo("its queries no longer search a gallery of its teacher's embeddings", err=True)
