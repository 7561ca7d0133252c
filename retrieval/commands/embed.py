"""`hdhe embed`: embeddings of images, as one file that `hdhe evaluate` reads, or as shards that many processes write
and `hdhe index build` reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.engine_option import EngineOption

if TYPE_CHECKING:
    from retrieval.processes import Place

_SHARD_SIZE = 2048
"""Images: what a process that is killed loses at most, and 500 files for a million images."""


def embed(
    model: Annotated[str, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS].")],
    images: Annotated[
        str, typer.Option(help="A folder with one folder a class, a manifest, or a known data set.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The .npz file to write; or a folder for shards, which torchrun's processes share, which the same "
            "command goes on with after a stop, and which hdhe index build --embeddings takes."
        ),
    ],
    split: Annotated[str | None, typer.Option(help="A split of the data set; all images otherwise.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where a known data set lies.")] = None,
    engine: EngineOption = "torch",
    shard_size: Annotated[
        int | None, typer.Option(help=f"Images a shard, of a folder; {_SHARD_SIZE} by default.")
    ] = None,
    thumbnails: Annotated[
        bool | None,
        typer.Option(
            "--thumbnails/--no-thumbnails",
            help="Whether shards hold the thumbnails that a collection shows; they do by default.",
        ),
    ] = None,
) -> None:
    """Write embeddings, labels and names of images to an .npz file or a folder of shards."""
    from retrieval.errors import DataError
    from retrieval.processes import own_place

    place = own_place()
    if out.suffix not in (".npz", ""):
        raise DataError(f"{out} must end in .npz, or be a folder's name without an ending")
    if out.suffix == "":
        size = _SHARD_SIZE if shard_size is None else shard_size
        if size < 1:
            raise DataError(f"--shard-size must be 1 or more; got {size}")
        _write_shards(
            model, images, out, split, root, engine, place, size=size, thumbnails=thumbnails is not False
        )
        return
    for option, value in {"--shard-size": shard_size, "--thumbnails": thumbnails}.items():
        if value is not None:
            raise DataError(f"{option} is for a folder of shards, but {out} is one file; leave it out")
    if place.processes > 1:
        raise DataError(
            f"{place.processes} processes cannot write one file; give --out a folder's name without .npz"
        )
    _write_file(model, images, out, split, root, engine)


def _write_file(
    model: str, images: str, out: Path, split: str | None, root: Path | None, engine: str
) -> None:
    import numpy as np

    from retrieval.bundle import load_bundle
    from retrieval.datasets import open_dataset
    from retrieval.embedder import Embedder
    from retrieval.embeddings_file import EmbeddingsFile, write_embeddings
    from retrieval.errors import ImageError
    from retrieval.left_out import left_out
    from retrieval.progress import track

    dataset = open_dataset(images, root)
    for problem in dataset.problems:
        typer.echo(left_out(problem), err=True)
    subset = dataset.subset(split or "all")
    embedder = Embedder(load_bundle(model), engine=engine)
    paths = [record.path for record in subset.records]
    embeddings = np.zeros((len(paths), embedder.embedding_size), np.float32)
    unreadable: list[int] = []

    def report(position: int, error: ImageError) -> None:
        unreadable.append(position)
        typer.echo(left_out(error), err=True)

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


def _write_shards(
    model: str,
    images: str,
    out: Path,
    split: str | None,
    root: Path | None,
    engine: str,
    place: Place,
    *,
    size: int,
    thumbnails: bool,
) -> None:
    from retrieval.bundle import load_bundle
    from retrieval.embedder import Embedder
    from retrieval.errors import ImageError
    from retrieval.gallery_images import find_gallery_images, without_label
    from retrieval.left_out import left_out
    from retrieval.progress import track
    from retrieval.shards.shard_folder import EmbeddingShards, Manifest, images_digest
    from retrieval.shards.writing import embed_shards, own_shards, take_own_gpu

    first = place.rank == 0
    wanted, problems = find_gallery_images(images, split=split, root=root)
    for problem in problems if first else ():
        typer.echo(left_out(problem), err=True)
    if first and (bare := without_label(wanted)) is not None:
        typer.echo(f"hdhe: {bare}", err=True)
    bundle = load_bundle(model)
    manifest = Manifest(
        model=bundle.fingerprint,
        embedding_size=bundle.embedding_size,
        images=len(wanted),
        images_digest=images_digest([(image.id, image.label) for image in wanted]),
        shard_size=size,
        thumbnails=thumbnails,
    )
    shards = EmbeddingShards.claim(out, manifest)
    numbers = own_shards(shards, place)
    done = unreadable = 0

    def report(_: str, error: ImageError) -> None:
        nonlocal unreadable
        unreadable += 1
        typer.echo(left_out(error), err=True)

    if numbers:
        take_own_gpu(place)
        embedder = Embedder(bundle, engine=engine)
        total = sum(len(manifest.members(number)) for number in numbers)
        label = "embed" if place.processes == 1 else f"embed, process 1 of {place.processes}"
        steps = embed_shards(embedder, wanted, shards, numbers, on_error=report)
        done = sum(1 for _ in track(steps, total=total, label=label, unit="images", shown=first))
    missing = len(shards.missing)
    said = f"{done - unreadable} images embedded, {unreadable} left out"
    there = f"{manifest.shards - missing} of {manifest.shards} shards in {out}"
    typer.echo(f"{said}; {there}" + (", the others are other processes' to write" if missing else ""))
