"""One process's part of embedding very many images into shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.embedder import Embedder
from retrieval.errors import ImageError
from retrieval.gallery import GalleryImage
from retrieval.images import thumbnail_jpeg
from retrieval.processes import Place
from retrieval.read_ahead import read_ahead
from retrieval.shards.shard_file import Shard
from retrieval.shards.shard_folder import EmbeddingShards


def own_shards(shards: EmbeddingShards, place: Place) -> list[int]:
    """The shards that this process has still to write: of each `processes` one, so that all end at about the same time
    whatever the order of the images.
    """
    return [number for number in shards.missing if number % place.processes == place.rank]


def take_own_gpu(place: Place) -> None:
    """Let each process of a machine have a GPU of its own, where there are any."""
    if place.processes > 1 and torch.cuda.is_available():
        torch.cuda.set_device(place.local_rank % torch.cuda.device_count())


def embed_shards(
    embedder: Embedder,
    images: Sequence[GalleryImage],
    shards: EmbeddingShards,
    numbers: Sequence[int],
    *,
    on_error: Callable[[str, ImageError], None],
) -> Iterator[GalleryImage]:
    """Embed and write the shards of these numbers; yields each image when it has been seen.

    images: all of them, in the order that the shards' manifest speaks of. on_error(id, error) is called for each image
    that cannot be read, which is then left out and noted in its shard. Killed at any moment, whole shards are there.
    """
    members = shards.manifest.members

    def read(position: int) -> tuple[NDArray[np.uint8], bytes | None]:
        image = embedder.decode(images[position].source)
        thumbnail = thumbnail_jpeg(image) if shards.manifest.thumbnails else None
        return embedder.bundle.preprocessing.prepare(image), thumbnail

    # Reads on across the border of two shards, so that the engine never waits there.
    positions = (position for number in numbers for position in members(number))
    results = read_ahead(read, positions, ahead=3 * embedder.batch_size)
    for number in numbers:
        kept: list[GalleryImage] = []
        thumbnails: list[bytes | None] = []
        left_out: list[str] = []
        vectors = [np.empty((0, embedder.embedding_size), np.float32)]
        coming = islice(results, len(members(number)))
        while batch := list(islice(coming, embedder.batch_size)):
            prepared = []
            for position, future in batch:
                image = images[position]
                try:
                    pixels, thumbnail = future.result()
                except ImageError as error:
                    on_error(image.id, error)
                    left_out.append(image.id)
                    continue
                kept.append(image)
                prepared.append(pixels)
                thumbnails.append(thumbnail)
            if prepared:
                vectors.append(embedder.embed_prepared(np.stack(prepared)))
            yield from (images[position] for position, _ in batch)
        shard = Shard(
            embeddings=np.concatenate(vectors),
            ids=tuple(image.id for image in kept),
            labels=tuple(image.label for image in kept),
            attributes=tuple(image.attributes or {} for image in kept),
            thumbnails=tuple(thumbnails),
            left_out=tuple(left_out),
        )
        shards.write(number, shard)
