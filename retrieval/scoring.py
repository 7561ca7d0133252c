"""The recall of a model on a data set; or of two, where one embeds the queries and another one the gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.datasets import QUERY_GALLERY, ImageDataset, Subset
from retrieval.embedder import Embedder
from retrieval.errors import DataError, ImageError
from retrieval.left_out import left_out
from retrieval.progress import track
from retrieval.recall import LEAVE_ONE_OUT, RecallReport, recall_at_k

DEFAULT_KS = (1, 2, 4, 8)
KS_OF = {"sop": (1, 10, 100, 1000), "inshop": (1, 10, 20, 30, 40, 50)}
"""The Ks that papers report on a data set where they are not 1, 2, 4, 8."""


@dataclass(frozen=True)
class Scored:
    """A report and what it is of. unreadable: images that were left out because they cannot be decoded. engine: what
    embedded the gallery.
    """

    split: str
    classes: int
    unreadable: int
    engine: str
    report: RecallReport


def score(
    dataset: ImageDataset,
    model: Bundle,
    *,
    query_model: Bundle | None = None,
    engine: str = "torch",
    split: str | None = None,
    ks: Iterable[int] | None = None,
    report: Callable[[str], None],
) -> Scored:
    """Embed a split and score it: leave-one-out, or queries against a gallery.

    query_model: embeds the queries in the model's space, see `query_model.check_query_model`; None: the model itself.
    engine: runs both, see `retrieval.engines`.
    split: None is the data set's default. ks: None are those that papers report, as far as the gallery allows them.
    report: takes a line for each image that is left out. Raises DataError if none can be decoded, UserError as
    `recall_at_k` does.
    """
    embedder = Embedder(model, engine=engine)
    asking = embedder if query_model is None else Embedder(query_model, engine=engine)
    split = split or dataset.default_split
    pair = split == QUERY_GALLERY
    query, gallery = dataset.query_gallery() if pair else (dataset.subset(split),) * 2
    vectors, kept = embed_subset(embedder, gallery, report)
    if pair:
        queries, asked = embed_subset(asking, query, report)
    elif query_model is None:
        queries, asked = vectors, kept
    else:
        # Only what the first model could read, so that what cannot be read is reported once.
        paths = [gallery.paths[row] for row in kept]
        queries, rows = _embed(asking, paths, f"{gallery.name} as queries", report)
        vectors, kept = vectors[rows], kept[rows]
        asked = kept
    found = recall_at_k(
        queries,
        query.labels[asked],
        vectors,
        gallery.labels[kept],
        ks or reachable(KS_OF.get(dataset.name, DEFAULT_KS), len(kept) - (not pair)),
        self_index=None if pair else np.arange(len(kept)),
        protocol=QUERY_GALLERY if pair else LEAVE_ONE_OUT,
    )
    return Scored(
        split=split,
        classes=len({*query.labels[asked].tolist(), *gallery.labels[kept].tolist()}),
        unreadable=len(gallery) - len(kept) + (len(query) - len(asked) if pair else 0),
        engine=embedder.engine,
        report=found,
    )


def reachable(ks: tuple[int, ...], available: int) -> tuple[int, ...]:
    """Those Ks that the gallery allows; at least the first, so that a gallery without items is reported."""
    return tuple(k for k in ks if k <= available) or ks[:1]


def embed_subset(
    embedder: Embedder, subset: Subset, report: Callable[[str], None]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings float32[n, d] of the images of a subset that can be read, and their positions int64[n] in it.

    report: takes a line for each other one. Raises DataError if none can be decoded.
    """
    return _embed(embedder, subset.paths, subset.name, report)


def _embed(
    embedder: Embedder, paths: Sequence[Path], label: str, report: Callable[[str], None]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of the images that can be read, and their positions."""
    embeddings = np.zeros((len(paths), embedder.embedding_size), np.float32)
    readable = np.ones(len(paths), bool)

    def pass_over(position: int, error: ImageError) -> None:
        readable[position] = False
        report(left_out(error))

    batches = embedder.batches(paths, on_error=pass_over)
    total = -(-len(paths) // embedder.batch_size)
    for rows, batch in track(batches, total=total, label=f"embed {label}", unit="batches"):
        embeddings[rows] = batch
    if not readable.any():
        raise DataError(f"none of the {len(paths)} images of {label} can be decoded")
    return embeddings[readable], np.flatnonzero(readable)
