"""Images in, embeddings out: decoding, preprocessing and one engine behind one class."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.bundle import Bundle
from retrieval.engines import Engine, make_engine
from retrieval.errors import ImageError
from retrieval.images import ImageLimits, decode_image
from retrieval.read_ahead import read_ahead

ImageSource = Path | bytes | Image.Image


class Embedder:
    """Turns images into `float32[n, d]`, L2-normalised. Safe for use from many threads; the engine runs one batch
    at a time.

    engine: one of `retrieval.engines.ENGINES`, or one that is made. busy_seconds: for how long it has been at work, by
    the clock.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str | Engine = "torch",
        batch_size: int = 32,
        limits: ImageLimits | None = None,
    ) -> None:
        self.bundle = bundle
        self.batch_size = batch_size
        self.limits = limits or ImageLimits()
        self._engine = make_engine(engine, bundle) if isinstance(engine, str) else engine
        self._lock = threading.Lock()
        self.busy_seconds = 0.0

    @property
    def engine(self) -> str:
        """The engine that runs: the one that was chosen, where `auto` was asked for. With its precision."""
        return f"{self._engine.name} ({self._engine.precision})"

    @property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return self.bundle.embedding_size

    @property
    def fingerprint(self) -> str:
        """The model's fingerprint, which a collection remembers."""
        return self.bundle.fingerprint

    def prepare(self, source: ImageSource) -> NDArray[np.uint8]:
        """Decode and preprocess one image: uint8[p, p, 3]. Raises ImageError, which says why."""
        return self.bundle.preprocessing.prepare(self.decode(source))

    def decode(self, source: ImageSource) -> Image.Image:
        """The upright RGB image, decoded alike for galleries, queries and scores. Raises ImageError."""
        return decode_image(source, limits=self.limits, at_least=self.bundle.preprocessing.decoded_side)

    def embed_prepared(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[n, p, p, 3] -> float32[n, d], n >= 0, in batches of at most `batch_size`."""
        parts = [np.empty((0, self.embedding_size), np.float32)]
        for start in range(0, len(images), self.batch_size):
            with self._lock:
                started = time.perf_counter()
                parts.append(self._engine.embed(images[start : start + self.batch_size]))
                self.busy_seconds += time.perf_counter() - started
        return np.concatenate(parts)

    def embed(
        self,
        sources: Sequence[ImageSource],
        *,
        on_error: Callable[[int, ImageError], None] | None = None,
    ) -> NDArray[np.float32]:
        """float32[n, d] in the order of `sources`, decoding ahead in threads.

        on_error is called with the position and the error of each image that cannot be read, and its row is zero;
        without it the first such image raises ImageError.
        """
        result = np.zeros((len(sources), self.embedding_size), np.float32)
        for rows, batch in self.batches(sources, on_error=on_error):
            result[rows] = batch
        return result

    def batches(
        self,
        sources: Sequence[ImageSource],
        *,
        on_error: Callable[[int, ImageError], None] | None = None,
    ) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Pairs of positions in `sources` and their embeddings, as they become ready, in order."""
        rows: list[int] = []
        images: list[NDArray[np.uint8]] = []
        # Two batches are decoded while one is embedded: enough to keep the engine busy, and little memory.
        ahead = 3 * self.batch_size
        for (position, _), future in read_ahead(
            lambda numbered: self.prepare(numbered[1]), enumerate(sources), ahead=ahead
        ):
            try:
                images.append(future.result())
                rows.append(position)
            except ImageError as error:
                if on_error is None:
                    raise
                on_error(position, error)
            if len(images) == self.batch_size:
                yield rows, self.embed_prepared(np.stack(images))
                rows, images = [], []
        if images:
            yield rows, self.embed_prepared(np.stack(images))
