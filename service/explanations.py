"""Why a query and an item are alike, as a picture: activation maps over the query and over the item's thumbnail.

The thumbnail is what there is of an item, the original is not stored. The cosine here is therefore that of the query
and the thumbnail, which differs a little from the score of a search. Both are explained by the model that filled the
collection, also where another one embeds the queries.

An explanation costs a forward and a backward pass, several times an embedding, and nobody has to have it: one is
computed at a time, in a thread of its own, and few may wait.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.images import ImageLimits, decode_image
from service.problems import InvalidRequestError
from service.scheduling.bounded_threads import BoundedThreads
from service.schemas import View

if TYPE_CHECKING:
    from retrieval.explain import Explanation
    from retrieval.gallery import Gallery

TYPICAL_IMAGES = 256
"""So many items stand for the collection: their mean moves little with more."""
TYPICAL_SECONDS = 60
"""How long that mean is used, whatever is written meanwhile."""
PICTURE_PIXELS = 640
"""Longer side of the query's picture; a map is coarse, and a camera's resolution would only be sent for nothing."""
WAITING = 8
"""So many explanations are accepted, with the one that is being computed; further ones are refused."""


@dataclass(frozen=True)
class Explained:
    """png: content of a file. score: cosine of the query and the item's thumbnail.

    part: what the map in the picture sums to, None for panels. Without `typical` it is the score, or the head's part of
    it; with it, what goes beyond the similarity to the typical image.
    """

    png: bytes
    score: float
    part: float | None


class Explanations:
    """Explains one pair of images at a time, beside the event loop that asks for it."""

    def __init__(self, gallery: Gallery, *, limits: ImageLimits) -> None:
        self._gallery = gallery
        self._limits = limits
        self._thread = BoundedThreads(1, "explain", WAITING - 1)
        self._typical: tuple[float, NDArray[np.float32]] | None = None

    async def explain(
        self,
        query: bytes,
        item: bytes,
        view: View,
        *,
        typical: bool,
        names: tuple[str, str],
        head: int | None = None,
    ) -> Explained:
        """Explain why two image files are alike. names: of the query and of the item, for captions.

        typical: take off what the collection's images have in common, so that what is particular shows. head: number
        of the one whose map is shown, None for all together. Raises ImageError for a query that cannot be used,
        InvalidRequestError for a head that the model has not, and OverloadedError where too many wait.
        """
        heads = len(self._gallery.embedder.bundle.network.spec.heads)
        if head is not None and head > heads:
            raise InvalidRequestError(f"head must be at most {heads}, the heads of this model; got {head}")
        of_head = None if head is None else head - 1
        return await self._thread.run(self._explain, query, item, view, typical, names, of_head)

    def close(self) -> None:
        """Finish what was accepted and stop the thread. Blocks."""
        self._thread.close()

    def _explain(
        self,
        query: bytes,
        item: bytes,
        view: View,
        typical: bool,
        names: tuple[str, str],
        head: int | None,
    ) -> Explained:
        from retrieval.explain import explain
        from retrieval.explanation_picture import overlaid, png

        bundle = self._gallery.embedder.bundle
        least = bundle.preprocessing.decoded_side
        images = [decode_image(content, limits=self._limits, at_least=least) for content in (query, item)]
        prepared = [bundle.preprocessing.prepare(image) for image in images]
        explanation = explain(bundle, *prepared, typical=self._mean() if typical else None)
        images[0].thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
        if view == "panels":
            return Explained(png(self._panels(explanation, images, names)), explanation.score, None)
        of = 0 if view == "query" else 1
        shown = explanation.map(of=of, head=head)
        picture = overlaid(images[of], shown.values, bundle.preprocessing)
        return Explained(png(picture), explanation.score, shown.part)

    def _panels(
        self, explanation: Explanation, images: list[Image.Image], names: tuple[str, str]
    ) -> Image.Image:
        from retrieval.explanation_picture import draw, rows_of, seen

        bundle = self._gallery.embedder.bundle
        count = len(bundle.network.heads)
        heads = (None,) if count == 1 else (*range(count), None)
        photographs = [
            (name, seen(image, bundle.preprocessing)) for name, image in zip(names, images, strict=True)
        ]
        return draw(rows_of(explanation, photographs, heads=heads, about=f"cosine {explanation.score:.3f}"))

    def _mean(self) -> NDArray[np.float32] | None:
        """float32[d], the mean embedding of a sample of the collection; None where it is empty."""
        now = time.monotonic()
        if self._typical is None or now - self._typical[0] > TYPICAL_SECONDS:
            vectors = self._gallery.collection.sample(TYPICAL_IMAGES)
            if len(vectors) == 0:
                return None
            self._typical = (now, vectors.mean(0))
        return self._typical[1]
