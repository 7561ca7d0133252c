"""Batches of training images: prepared once into memory when they fit, and always in the same order for a seed.

Everything random is a function of (seed, epoch, step), so a run that was killed continues as if it had not been.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.images import decode_image
from retrieval.progress import track
from retrieval.transforms import Preprocessing

Pixels = NDArray[np.uint8]
"""uint8[n, pixels, pixels, 3]"""

_AHEAD = 4
"""Batches that are decoded ahead of the one in use when the images are not in memory."""


class ImageSource:
    """Prepared images by number, from memory when all of them fit into `cache_bytes`, else decoded when asked for.

    Decoding runs in threads: Pillow releases the interpreter while it decodes and resizes, and threads share the
    cache, need no start-up and are safe beside OpenMP, which forked workers are not.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        cache_bytes: int,
        workers: int,
        label: str,
        shown: bool = True,
    ) -> None:
        """Decodes all images now if they are to be kept; shown: whether to say how far that is.

        Raises ImageError naming a file that cannot be decoded.
        """
        self._paths = tuple(paths)
        self._preprocessing = preprocessing
        self._workers = workers
        self._cache: Pixels | None = None
        shape = (len(self._paths), preprocessing.pixels, preprocessing.pixels, 3)
        if int(np.prod(shape, dtype=np.int64)) <= cache_bytes:
            self._cache = np.empty(shape, np.uint8)
            with ThreadPoolExecutor(self._workers) as pool:
                decoded = pool.map(self._prepare, range(len(self._paths)))
                tracked = track(decoded, total=len(self._paths), label=label, shown=shown)
                for number, image in enumerate(tracked):
                    self._cache[number] = image

    @property
    def cached_bytes(self) -> int:
        """What the images take in memory; 0 if they are decoded when asked for."""
        return 0 if self._cache is None else self._cache.nbytes

    def __len__(self) -> int:
        return len(self._paths)

    def batches(self, groups: Sequence[NDArray[np.int64]]) -> Iterator[Pixels]:
        """The images of each group of numbers, in order; the next few groups are decoded meanwhile."""
        if self._cache is not None:
            for group in groups:
                yield self._cache[group]
            return
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: deque[list[Future[Pixels]]] = deque()
            coming = iter(groups)
            try:
                for group in islice(coming, _AHEAD):
                    waiting.append([pool.submit(self._prepare, int(number)) for number in group])
                while waiting:
                    ready = waiting.popleft()
                    for group in islice(coming, 1):
                        waiting.append([pool.submit(self._prepare, int(number)) for number in group])
                    yield np.stack([image.result() for image in ready])
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, number: int) -> Pixels:
        # A picture much larger than what is asked of it is decoded at a fraction of its size.
        wanted = self._preprocessing.short_side
        return self._preprocessing.prepare(decode_image(self._paths[number], at_least=wanted))


def epoch_order(images: int, batch: int, *, seed: int, epoch: int, least: int = 2) -> list[NDArray[np.int64]]:
    """The numbers 0..images-1 shuffled and cut into batches; a function of its arguments alone.

    The last batch may be smaller than the others. If it would have fewer than `least` images they join the batch
    before, because batch norm over one value per channel is undefined.
    """
    order = np.random.default_rng((seed, epoch)).permutation(images).astype(np.int64)
    cuts = list(range(batch, images, batch))
    if cuts and images - cuts[-1] < least:
        cuts.pop()
    return np.split(order, cuts)


def step_seed(seed: int, epoch: int, step: int) -> int:
    """The seed of everything that is drawn in one step (views, dropout), the same in every process."""
    # The last number is no choice: it keeps the draws of runs that were begun when it had a meaning.
    return int(np.random.SeedSequence((seed, epoch, step, 0)).generate_state(1)[0])
