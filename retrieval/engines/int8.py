"""OpenVINO with 8-bit integers: quantised by NNCF on real images, and held to the recall of float32.

An 8-bit network is another network: its embeddings are near those of float32, with cosines below 0.999. So what is
asked of it is that it retrieves as well, among its own embeddings and, since a gallery may have been built by another
engine, with its queries in a gallery of float32.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.datasets import QUERY_GALLERY, ImageDataset
from retrieval.datasets.dataset import ALL
from retrieval.embedder import Embedder
from retrieval.engines import openvino_engine, quiet_imports
from retrieval.engines.agreement import cosines
from retrieval.engines.engine import open_exported
from retrieval.engines.export import described
from retrieval.engines.exported import Exported, write_exported
from retrieval.errors import BundleError, DataError, ImageError
from retrieval.left_out import left_out
from retrieval.recall import recall_at_k

ENGINE = "openvino-int8"

MOST_LOST = 0.003
"""Of Recall@1, as a share of the queries."""

CALIBRATION_IMAGES = 300
"""Images that tell the range of each layer's values; NNCF's own default."""

COMPARED_IMAGES = 64

# What is behind the maps (pooling, norms, the sum of the views, a whitening) is cheap. In 8 bits no vector would have
# norm 1, and a whitening would enlarge the rounding.
_EXACT = [
    "Divide",
    "MatMul",
    "Multiply",
    "Power",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "Slice",
    "Sqrt",
    "Subtract",
]


def export_int8(
    bundle: Bundle, dataset: ImageDataset, *, images_of: str, report: Callable[[str], None]
) -> Exported:
    """Export a model for `openvino-int8` into its bundle's folder, replacing an export that is there.

    dataset: all of it calibrates, and its usual split is scored. report: takes a line for each image that is left out.
    Raises BundleError, and leaves everything as it was, if Recall@1 falls by more than 0.3 points; UserError where a
    library is missing, or no query has an answer.
    """
    reference = Embedder(bundle)
    images = _prepared(reference, dataset, report)

    def write(folder: Path) -> None:
        graph = openvino_engine.read(bundle, folder)
        openvino_engine.save(quantised(graph, images), folder)

    def check(folder: Path, files: dict[str, str]) -> Exported:
        made = open_exported(ENGINE, folder)
        recall = compared_recall(dataset, reference, Embedder(bundle, engine=made), report)
        lost = recall["float32"] - min(recall["int8"], recall["int8 in float32"])
        if lost > MOST_LOST + 1e-9:
            raise BundleError(
                f"in 8 bits this model loses {100 * lost:.2f} points of Recall@1 on the {recall['queries']:,} queries "
                f"of {images_of}, and at most {100 * MOST_LOST:.1f} are allowed; nothing was written. "
                f"Use --engine openvino"
            )
        agreement = cosines(made, bundle, images[:: -(-len(images) // COMPARED_IMAGES)])
        if not np.isfinite(agreement).all():
            raise BundleError(
                "in 8 bits this model gives no unit vectors; nothing was written. Use --engine openvino"
            )
        return described(bundle, made, agreement, images_of=images_of, recall=recall, files=files)

    return write_exported(bundle, ENGINE, write, check)


def quantised(graph: object, images: NDArray[np.uint8]) -> object:
    """An `openvino.Model` whose convolutions multiply 8-bit integers. images: uint8[n, p, p, 3], to calibrate it."""
    nncf = quiet_imports.nncf()
    nncf.set_log_level(logging.ERROR)
    # Its bars of progress go to stdout, which belongs to whoever asked for JSON.
    with redirect_stdout(sys.stderr):
        result: object = nncf.quantize(
            graph,
            nncf.Dataset([image[None] for image in images]),
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(types=_EXACT, validate=False),
        )
    return result


def compared_recall(
    dataset: ImageDataset, reference: Embedder, other: Embedder, report: Callable[[str], None]
) -> dict[str, float]:
    """Recall@1 of both engines, and of the other one's queries in the reference's gallery; and how many `queries`."""
    split = dataset.default_split
    pair = split == QUERY_GALLERY
    query, gallery = dataset.query_gallery() if pair else (dataset.subset(split),) * 2
    items, kept = _embedded(reference, gallery.paths, report)
    items8 = _embedded(other, gallery.paths, _nobody)[0]
    asking, asked = _embedded(reference, query.paths, report) if pair else (items, kept)
    asking8 = _embedded(other, query.paths, _nobody)[0] if pair else items8
    own = None if pair else np.arange(len(kept))
    recall: dict[str, float] = {}
    for name, queries, among in (
        ("float32", asking, items),
        ("int8", asking8, items8),
        ("int8 in float32", asking8, items),
    ):
        found = recall_at_k(queries, query.labels[asked], among, gallery.labels[kept], (1,), self_index=own)
        recall[name], recall["queries"] = found.recall[1], found.queries
    return recall


def _prepared(embedder: Embedder, dataset: ImageDataset, report: Callable[[str], None]) -> NDArray[np.uint8]:
    paths = dataset.subset(ALL).paths
    prepared = []
    for path in paths[:: -(-len(paths) // CALIBRATION_IMAGES)]:
        try:
            prepared.append(embedder.prepare(path))
        except ImageError as error:
            report(left_out(error))
    if not prepared:
        raise DataError(f"none of the images of {dataset.name} can be decoded")
    return np.stack(prepared)


def _embedded(
    embedder: Embedder, paths: list[Path], report: Callable[[str], None]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of the images that can be read, and their positions."""
    readable = np.ones(len(paths), bool)

    def pass_over(position: int, error: ImageError) -> None:
        readable[position] = False
        report(left_out(error))

    rows = embedder.embed(paths, on_error=pass_over)
    return rows[readable], np.flatnonzero(readable)


def _nobody(_: str) -> None:
    """For what was reported already."""
