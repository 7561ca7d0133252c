"""`hdhe index build | info`: make a searchable collection of images, and say what it holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from retrieval.bundle import Bundle
    from retrieval.gallery import Gallery

CollectionFolder = Annotated[Path, typer.Option(help="The collection's folder.")]


def build(
    model: Annotated[str, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS].")],
    images: Annotated[
        str,
        typer.Option(help="A folder (labels: its folders' names), a manifest, or a known data set."),
    ],
    collection: CollectionFolder,
    index: Annotated[
        str, typer.Option(help="Index kind: auto, flat, sq8, hnsw, ivf or ivfpq; auto chooses by size.")
    ] = "auto",
    split: Annotated[str | None, typer.Option(help="A split of the data set; all images otherwise.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where a known data set lies.")] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave alone what the collection holds already.")
    ] = False,
) -> None:
    """Embed images and put them into a collection; an existing one of the same model is added to."""
    from retrieval.bundle import load_bundle
    from retrieval.errors import ImageError
    from retrieval.gallery_images import find_gallery_images
    from retrieval.progress import track

    wanted, problems = find_gallery_images(images, split=split, root=root)
    for problem in problems:
        typer.echo(f"hdhe: {problem}", err=True)
    bundle = load_bundle(model)
    gallery = opened_or_made(collection, bundle, index=index, model=model, option="--collection")
    unreadable = 0

    def report(id: str, error: ImageError) -> None:
        nonlocal unreadable
        unreadable += 1
        typer.echo(f"hdhe: left out {id}: {error}", err=True)

    with gallery:
        if skip_existing:
            there = gallery.collection.get([image.id for image in wanted])
            wanted = [image for image, item in zip(wanted, there, strict=True) if item is None]
        steps = gallery.add(wanted, on_error=report)
        done = sum(1 for _ in track(steps, total=len(wanted), label="index", unit="images"))
        gallery.collection.optimise()
        stats = gallery.collection.stats()
    typer.echo(
        f"{done - unreadable} images indexed, {unreadable + len(problems)} left out; "
        f"{collection} holds {stats.items} items in a {stats.index_kind} index"
    )


def info(
    collection: CollectionFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a collection holds."""
    from indexes import LocalCollection

    stats = asdict(LocalCollection.info(collection))
    if as_json:
        typer.echo(json.dumps(stats))
        return
    for name, value in stats.items():
        typer.echo(f"{name.replace('_', ' '):18} {value}")


def opened_or_made(folder: Path, bundle: Bundle, *, index: str, model: str, option: str) -> Gallery:
    """The gallery of this model in a folder. model, option: what the user calls the model and the folder's option.

    Raises ForeignModelError if another model filled it.
    """
    from indexes import ForeignModelError
    from retrieval.gallery import MODEL_NAME, create_gallery, open_gallery

    if not (folder / MODEL_NAME).is_dir():
        return create_gallery(folder, bundle, index=index)
    gallery = open_gallery(folder)
    if gallery.embedder.fingerprint != bundle.fingerprint:
        gallery.close()
        raise ForeignModelError(
            f"{folder} was filled by another model than {model}; choose another {option} folder"
        )
    return gallery
