"""`hdhe embed`: the embeddings of a folder of images, as a file that `hdhe evaluate` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def embed(
    model: Annotated[str, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS].")],
    images: Annotated[
        str, typer.Option(help="A folder with one folder a class, a manifest, or a known data set.")
    ],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")],
    split: Annotated[str | None, typer.Option(help="A split of the data set; all images otherwise.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where a known data set lies.")] = None,
) -> None:
    """Write embeddings[n, d], labels[n] and paths[n] of images to an .npz file."""
    import numpy as np

    from retrieval.bundle import load_bundle
    from retrieval.datasets import open_dataset
    from retrieval.embedder import Embedder
    from retrieval.embeddings_file import EmbeddingsFile, write_embeddings
    from retrieval.errors import DataError, ImageError
    from retrieval.progress import track

    if out.suffix != ".npz":
        raise DataError(f"{out} must end in .npz")
    dataset = open_dataset(images, root)
    for problem in dataset.problems:
        typer.echo(f"hdhe: {problem}", err=True)
    subset = dataset.subset(split or "all")
    embedder = Embedder(load_bundle(model))
    paths = [record.path for record in subset.records]
    embeddings = np.zeros((len(paths), embedder.embedding_size), np.float32)
    unreadable: list[int] = []

    def report(position: int, error: ImageError) -> None:
        unreadable.append(position)
        typer.echo(f"hdhe: left out: {error}", err=True)

    batches = embedder.batches(paths, on_error=report)
    total = -(-len(paths) // embedder.batch_size)
    for rows, batch in track(batches, total=total, label="embed", unit="batches"):
        embeddings[rows] = batch
    kept = np.setdiff1d(np.arange(len(paths)), unreadable)
    write_embeddings(
        out,
        EmbeddingsFile(
            embeddings=embeddings[kept],
            labels=np.array([subset.records[i].label for i in kept]),
            paths=np.array([str(paths[i].relative_to(dataset.root)) for i in kept]),
        ),
    )
    typer.echo(f"{len(kept)} embeddings of {embedder.embedding_size} numbers in {out}")
