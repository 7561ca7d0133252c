"""Images to embeddings beside the event loop: decoding in a few threads, the network in one, searches first."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.images import ImageLimits, decode_image, thumbnail_jpeg
from service.observability.stages import record
from service.scheduling.batching import Batcher, Embedded, milliseconds
from service.scheduling.lines import LineThreads, Priority

if TYPE_CHECKING:
    from retrieval.embedder import Embedder


@dataclass(frozen=True)
class Prepared:
    """A decoded image. pixels: uint8[p, p, 3] for the network; thumbnail: JPEG, where one was asked for."""

    pixels: NDArray[np.uint8]
    thumbnail: bytes | None
    decode_ms: float
    wait_ms: float


class EmbeddingWorker:
    """Decodes and embeds without blocking the event loop that asks for it. Who stops waiting leaves the line."""

    def __init__(
        self, embedder: Embedder, batcher: Batcher, *, limits: ImageLimits, decode_threads: int
    ) -> None:
        self._use(embedder)
        self._limits = limits
        self._batcher = batcher
        self._decoding = LineThreads(decode_threads, "decode")

    def beside(self, embedder: Embedder) -> EmbeddingWorker:
        """A worker of another model, on the same threads: two networks at a time would slow each other down. Closing
        either closes both.
        """
        other = copy.copy(self)
        other._use(embedder)
        return other

    async def prepare(self, content: bytes, priority: Priority, *, thumbnail: bool = False) -> Prepared:
        """Decode one image file. Raises ImageError, whose message says why and may be shown to the client."""
        submitted = time.perf_counter()

        def work() -> Prepared:
            started = time.perf_counter()
            # As `Embedder.decode` does it, under the service's own limits.
            image = decode_image(content, limits=self._limits, at_least=self._preprocessing.decoded_side)
            small = thumbnail_jpeg(image) if thumbnail else None
            pixels = self._preprocessing.prepare(image)
            return Prepared(
                pixels,
                small,
                milliseconds(started, time.perf_counter()),
                milliseconds(submitted, started),
            )

        with self._batcher.coming(priority):
            return await asyncio.wrap_future(self._decoding.submit(work, priority))

    async def embed(self, images: Sequence[Prepared], priority: Priority) -> Embedded:
        """Embed n >= 1 prepared images in one batch."""
        pixels = [image.pixels for image in images]
        embedded = await asyncio.wrap_future(
            self._batcher.submit(self._embedder.embed_prepared, pixels, priority)
        )
        for image in images:
            record("decode", image.decode_ms / 1000)
            record("wait", (image.wait_ms + embedded.wait_ms) / 1000)
        record("embed", embedded.embed_ms / 1000)
        return embedded

    def warm_up(self) -> None:
        """Embed a grey image, so that the first client does not pay for lazy initialisation. Blocks."""
        pixels = self._preprocessing.pixels
        grey = np.full((pixels, pixels, 3), 128, np.uint8)
        self._batcher.submit(self._embedder.embed_prepared, [grey], Priority.SEARCH).result()

    def close(self) -> None:
        """Finish what was handed over and stop the threads. Blocks; closing twice is harmless."""
        self._decoding.close()
        self._batcher.close()

    def _use(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._preprocessing = embedder.bundle.preprocessing
