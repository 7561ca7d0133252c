"""`hdhe index reembed | switch`: a second collection beside the first, and in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrieval.commands.engine_option import EngineOption
from retrieval.commands.index import CollectionFolder, opened_or_made


def reembed(
    collection: CollectionFolder,
    model: Annotated[str, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS].")],
    to: Annotated[Path, typer.Option(help="The folder of the new collection; again to go on with it.")],
    images: Annotated[
        Path | None,
        typer.Option(help="A folder with the originals at the items' ids; their thumbnails otherwise."),
    ] = None,
    index: Annotated[str, typer.Option(help="Index kind of the new collection.")] = "auto",
    engine: EngineOption = "torch",
) -> None:
    """Embed the items of a collection by another model into a new one beside it, also while it is served."""
    from indexes.behind_link import behind_link
    from indexes.collection_reading import stored_items
    from indexes.opening import check_is_in_folder
    from retrieval.bundle import load_bundle
    from retrieval.embedder import Embedder
    from retrieval.gallery import UPSERT_BATCH
    from retrieval.gallery_folder import MODEL_NAME, check_is_gallery
    from retrieval.progress import track
    from retrieval.reembedding import Followed, begin_to_follow, follow, thumbnail_agreement

    check_is_gallery(collection)
    for folder in (collection, to):
        check_is_in_folder(folder, "embedding anew")
    collection = behind_link(collection)
    bundle = load_bundle(model)
    with stored_items(collection) as source:
        new = not (to / MODEL_NAME).is_dir()
        gallery = opened_or_made(to, bundle, index=index, engine=engine, model=model, option="--to")
        if new:
            begin_to_follow(to, source)
        with gallery:
            taken = Followed()
            # Not exact where the source is written meanwhile, or the target holds some already.
            batches = max(1, -(-source.count() // UPSERT_BATCH))
            steps = follow(source, gallery, images=images, on_error=_left_out)
            for done in track(steps, total=batches, label="reembed", unit="batches"):
                taken += done
            gallery.collection.optimise()
            items = gallery.collection.count()
        typer.echo(
            f"{taken.originals} items embedded from their originals, {taken.thumbnails} from thumbnails, "
            f"{taken.left_out} left out, {taken.deleted} deleted; {to} holds {items} items"
        )
        if taken.thumbnails:
            agreement = thumbnail_agreement(source, Embedder(load_bundle(collection / MODEL_NAME)))
            if agreement is not None:
                typer.echo(
                    "what a thumbnail costs: the old model's embeddings of thumbnails have a mean cosine of "
                    f"{agreement:.3f} with those of the photos"
                )
    typer.echo(f"let the service go over to it with `hdhe index switch --collection LINK --to {to}`")


def switch(
    collection: Annotated[Path, typer.Option(help="The link that is served; made where there is none.")],
    to: Annotated[Path, typer.Option(help="The folder of the collection that it shall point to.")],
) -> None:
    """Let a link point to another collection; a service that serves the link goes over to it without a pause."""
    from retrieval.gallery_switch import switch as switch_link

    taken, served = switch_link(collection, to, on_error=_left_out)
    if taken.writes:
        typer.echo(f"{taken.writes} writes were taken over, {taken.left_out} of them left out")
    typer.echo(f"{collection} points to {to}" + (", and is served" if served else ""))


def _left_out(id: str, error: Exception) -> None:
    from retrieval.left_out import left_out

    typer.echo(left_out(f"{id}: {error}"), err=True)
