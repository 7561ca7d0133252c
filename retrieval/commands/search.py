"""`hdhe search`: the neighbours of an image in a collection, from the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from retrieval.commands.engine_option import EngineOption


def search(
    images: Annotated[list[Path], typer.Argument(help="One or more image files.")],
    collection: Annotated[Path, typer.Option(help="The collection's folder.")],
    query_model: Annotated[
        str | None,
        typer.Option(help="A bundle that embeds the images in the space of the collection's own model."),
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="How many neighbours.")] = 10,
    filter: Annotated[str | None, typer.Option(help='As JSON, for instance {"label": "vase-03"}.')] = None,
    engine: EngineOption = "torch",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the nearest items of a collection for each image, the best first."""
    from indexes import FilterError, parse_filter
    from retrieval.gallery import open_gallery

    try:
        condition = None if filter is None else parse_filter(json.loads(filter))
    except ValueError as error:
        raise FilterError(f"--filter is not JSON: {error}") from error
    with open_gallery(collection, read_only=True, query_model=query_model, engine=engine) as gallery:
        vectors = gallery.asks.embed(images)
        results = gallery.collection.search(vectors, k, condition)
    if as_json:
        found = [
            {"image": str(image), "hits": [asdict(hit) for hit in hits]}
            for image, hits in zip(images, results, strict=True)
        ]
        typer.echo(json.dumps({"results": found}))
        return
    for image, hits in zip(images, results, strict=True):
        typer.echo(str(image))
        for hit in hits:
            typer.echo(f"  {hit.score:6.3f}  {hit.label or '-':24} {hit.id}")
