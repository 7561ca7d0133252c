"""`hdhe export`: a model's network for another engine, checked on real images and stored beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.errors import DataError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.bundle import Bundle
    from retrieval.engines.exported import Exported

INT8 = "openvino-int8"

MOST_IMAGES = 64
"""So many of a folder are compared, evenly spaced."""


def export(
    engine: Annotated[str, typer.Option(help="onnx, openvino, or openvino-int8.")],
    model: Annotated[Path | None, typer.Option(help="The model bundle to export.")] = None,
    collection: Annotated[
        Path | None, typer.Option(help="A collection whose own model to export, instead of --model.")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="A folder or a data set to compare on; by default photos of the sample catalogue."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Export a model for another engine, if that gives the same embeddings."""
    from retrieval.bundle import load_bundle
    from retrieval.engines import EXPORTED
    from retrieval.engines.agreement import SAMPLE, sample_images
    from retrieval.engines.export import export as export_model

    if engine not in EXPORTED:
        raise UserError(f"--engine must be one of {', '.join(EXPORTED)}; got {engine!r}")
    bundle = load_bundle(_folder(model, collection))
    if engine == INT8:
        _say(_export_int8(bundle, images), bundle, as_json)
        return
    prepared = sample_images(bundle, MOST_IMAGES) if images is None else _prepared(bundle, images)
    _say(export_model(bundle, engine, prepared, images_of=images or SAMPLE), bundle, as_json)


def _export_int8(bundle: Bundle, images: str | None) -> Exported:
    from retrieval.datasets import open_dataset
    from retrieval.engines.int8 import export_int8

    if images is None:
        raise UserError(
            f"{INT8} is held to its recall: give --images with a data set, or a folder with one folder a class"
        )
    dataset = open_dataset(images)
    return export_int8(bundle, dataset, images_of=images, report=lambda line: typer.echo(line, err=True))


def _say(exported: Exported, bundle: Bundle, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(exported)))
        return
    typer.echo(
        f"{bundle.folder}/{exported.engine}: cosine with torch over {exported.images} images of "
        f"{exported.images_of}: min {exported.cosine_min:.6f}, mean {exported.cosine_mean:.6f} ({exported.precision})"
    )
    for precision, cosine in exported.refused.items():
        typer.echo(f"in {precision} the least cosine is {cosine:.6f}, which is not close enough")
    if exported.recall:
        shares = {name: value for name, value in exported.recall.items() if name != "queries"}
        told = ", ".join(f"{name} {100 * value:.2f} %" for name, value in shares.items())
        typer.echo(f"Recall@1 over {exported.recall['queries']:,} queries: {told}")


def _folder(model: Path | None, collection: Path | None) -> Path:
    from indexes.behind_link import behind_link
    from retrieval.gallery_folder import MODEL_NAME, check_is_gallery

    if (model is None) == (collection is None):
        raise UserError("give either --model or --collection")
    if collection is not None:
        check_is_gallery(collection)
        return behind_link(collection) / MODEL_NAME
    assert model is not None
    return model


def _prepared(bundle: Bundle, where: str) -> NDArray[np.uint8]:
    """uint8[n, p, p, 3] of a folder's or data set's images. Raises DataError if none can be read."""
    import numpy as np

    from retrieval.embedder import Embedder
    from retrieval.errors import ImageError
    from retrieval.gallery_images import find_gallery_images
    from retrieval.left_out import left_out

    found, _ = find_gallery_images(where)
    embedder = Embedder(bundle)
    prepared = []
    for image in found[:: -(-len(found) // MOST_IMAGES)]:
        try:
            prepared.append(embedder.prepare(image.source))
        except ImageError as error:
            typer.echo(left_out(error), err=True)
    if not prepared:
        raise DataError(f"--images {where}: none of its images can be decoded")
    return np.stack(prepared)
