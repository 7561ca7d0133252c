"""Images to embeddings beside the event loop: decoding in a few threads, the network in one.

The network has one thread because it spreads a batch over all cores by itself; a second batch at the same time would
only make both slower. Whoever has many images hands them over a few at a time, so that others get their turn.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.embedder import DECODED_PIXELS, Embedder
from retrieval.gallery import THUMBNAIL_PIXELS
from retrieval.images import ImageLimits, decode_image, thumbnail_jpeg


@dataclass(frozen=True)
class Prepared:
    """A decoded image. pixels: uint8[p, p, 3] for the network; thumbnail: JPEG, where one was asked for."""

    pixels: NDArray[np.uint8]
    thumbnail: bytes | None
    decode_ms: float
    wait_ms: float


@dataclass(frozen=True)
class Embedded:
    """vectors: float32[n, d], L2-normalised. Times in milliseconds; wait is the time in line for the network."""

    vectors: NDArray[np.float32]
    wait_ms: float
    embed_ms: float


class EmbeddingWorker:
    """Decodes and embeds without blocking the event loop that asks for it."""

    def __init__(self, embedder: Embedder, *, limits: ImageLimits, decode_threads: int) -> None:
        self._use(embedder)
        self._limits = limits
        self._decoding = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode")
        self._network = ThreadPoolExecutor(1, thread_name_prefix="embed")

    def beside(self, embedder: Embedder) -> EmbeddingWorker:
        """A worker of another model, on the same threads: two networks at a time would slow each other down. Closing
        either closes both.
        """
        other = copy.copy(self)
        other._use(embedder)
        return other

    async def prepare(self, content: bytes, *, thumbnail: bool = False) -> Prepared:
        """Decode one image file. Raises ImageError, whose message says why and may be shown to the client."""
        submitted = time.perf_counter()

        def work() -> Prepared:
            started = time.perf_counter()
            image = decode_image(content, limits=self._limits, at_least=self._at_least)
            small = thumbnail_jpeg(image, THUMBNAIL_PIXELS) if thumbnail else None
            pixels = self._preprocess(image)
            return Prepared(pixels, small, _ms(started, time.perf_counter()), _ms(submitted, started))

        return await asyncio.get_running_loop().run_in_executor(self._decoding, work)

    async def embed(self, images: Sequence[Prepared]) -> Embedded:
        """Embed n >= 1 prepared images as one batch."""
        batch = np.stack([image.pixels for image in images])
        submitted = time.perf_counter()

        def work() -> Embedded:
            started = time.perf_counter()
            vectors = self._embedder.embed_prepared(batch)
            return Embedded(vectors, _ms(submitted, started), _ms(started, time.perf_counter()))

        return await asyncio.get_running_loop().run_in_executor(self._network, work)

    def warm_up(self) -> None:
        """Embed a grey image, so that the first client does not pay for lazy initialisation. Blocks."""
        pixels = self._embedder.bundle.preprocessing.pixels
        grey = np.full((1, pixels, pixels, 3), 128, np.uint8)
        self._network.submit(self._embedder.embed_prepared, grey).result()

    def close(self) -> None:
        """Finish what was handed over and stop the threads. Blocks; closing twice is harmless."""
        self._decoding.shutdown()
        self._network.shutdown()

    def _use(self, embedder: Embedder) -> None:
        self._embedder = embedder
        preprocessing = embedder.bundle.preprocessing
        self._preprocess = preprocessing.prepare
        # As `Embedder.decode` does it, under the service's own limits.
        self._at_least = max(preprocessing.short_side, DECODED_PIXELS)


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
