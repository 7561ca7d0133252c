"""`hdhe index snapshot | restore`: copies of a collection and its model, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrieval.commands.index import CollectionFolder


def snapshot(
    collection: CollectionFolder,
    to: Annotated[Path, typer.Option(help="A new folder, which appears when the copy is complete.")],
) -> None:
    """Copy a collection and its model as of one moment, also while it is served and written."""
    from retrieval.gallery_snapshot import snapshot_gallery

    manifest = snapshot_gallery(collection, to)
    typer.echo(f"{to} holds {manifest.items} items, as of sequence number {manifest.sequence}")


def restore(
    snapshot: Annotated[Path, typer.Option(help="The folder that `hdhe index snapshot` wrote.")],
    collection: Annotated[Path, typer.Option(help="A new folder, for the collection.")],
) -> None:
    """Make a collection from a snapshot, after every file has been compared with its checksum."""
    from retrieval.gallery_snapshot import restore_gallery

    manifest = restore_gallery(snapshot, collection)
    typer.echo(
        f"{collection} holds {manifest.items} items, as of sequence number {manifest.sequence} "
        f"({manifest.taken_at})"
    )
