"""`hdhe index check | rebuild | compact`: looking after a collection, also one that `hdhe serve` has open."""

from __future__ import annotations

from typing import Annotated

import typer

from retrieval.commands.index import CollectionFolder
from retrieval.commands.index_options import KINDS_HELP, MemoryOption, RecallOption, memory_bytes


def check(collection: CollectionFolder) -> None:
    """Prove that the stored rows are sound and that the index holds exactly their vectors. Changes nothing."""
    from indexes import maintenance

    report = maintenance.check(collection)
    typer.echo(f"{report.items} items stored, {report.indexed} in the {report.index_kind} index")
    for problem in report.problems:
        typer.echo(problem)
    typer.echo("rows and index agree" if report.ok else "rows and index do not agree")
    raise typer.Exit(0 if report.ok else 1)


def rebuild(
    collection: CollectionFolder,
    index: Annotated[
        str | None,
        typer.Option(help=f"From now on of this kind: {KINDS_HELP}; auto measures anew. As it is otherwise."),
    ] = None,
    recall: RecallOption = None,
    memory: MemoryOption = None,
) -> None:
    """Build the index anew from the stored rows; the old one answers until the new one takes its place."""
    from indexes import maintenance

    kind = maintenance.rebuild(collection, index, recall=recall, memory=memory_bytes(memory))
    typer.echo(f"{collection} has a new {kind} index")


def compact(collection: CollectionFolder) -> None:
    """Give the disk back what deleted items have left. Searches go on, writes wait meanwhile."""
    from indexes import maintenance

    done = maintenance.compact(collection)
    typer.echo(f"{collection}: {done.bytes_before:,} bytes before, {done.bytes_after:,} bytes after")
