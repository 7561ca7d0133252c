"""Shards of embeddings into a gallery: an index without embedding anything twice."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from indexes import NewItem
from retrieval.errors import DataError
from retrieval.gallery import UPSERT_BATCH, Gallery
from retrieval.shards.shard_folder import EmbeddingShards

_BATCH = 8 * UPSERT_BATCH
"""Items a transaction: there is nothing to compute between two."""


class Outcome(Enum):
    """What became of an image of the shards. LEFT_OUT: `hdhe embed` could not read it."""

    UPSERTED = "upserted"
    THERE_ALREADY = "there already"
    LEFT_OUT = "left out"


def check_same_model(shards: EmbeddingShards, fingerprint: str, *, model: str) -> None:
    """Raises DataError for embeddings of another model than the gallery's. model: what the user calls that."""
    if shards.manifest.model != fingerprint:
        raise DataError(
            f"{shards.folder} was embedded by another model than {model}; give the bundle that `hdhe embed` was given"
        )


def add_shards(gallery: Gallery, shards: EmbeddingShards, *, skip_existing: bool) -> Iterator[Outcome]:
    """Upsert every item, with label, attributes and thumbnail; yields what became of each image when it is on disk.

    skip_existing: leave alone what the gallery holds. Killed halfway, what was yielded is there, and the same call may
    be repeated. Raises DataError for shards that are missing or damaged.
    """
    for shard in shards:
        for start in range(0, len(shard.ids), _BATCH):
            rows = range(start, min(start + _BATCH, len(shard.ids)))
            known = [False] * len(rows)
            if skip_existing:
                known = [
                    item is not None for item in gallery.collection.get([shard.ids[row] for row in rows])
                ]
            items = [
                NewItem(
                    shard.ids[row],
                    shard.embeddings[row],
                    shard.labels[row],
                    shard.attributes[row],
                    shard.thumbnails[row],
                )
                for row, there in zip(rows, known, strict=True)
                if not there
            ]
            if items:
                gallery.collection.upsert(items)
            yield from (Outcome.THERE_ALREADY if there else Outcome.UPSERTED for there in known)
        yield from (Outcome.LEFT_OUT for _ in shard.left_out)
