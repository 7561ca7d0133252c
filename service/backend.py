"""What stands behind the routes: a gallery and the threads that work on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar, cast

from fastapi import Depends, Request

from retrieval.images import ImageLimits
from service.explanations import Explanations
from service.live_recall import LiveRecall
from service.problems import NotReadyError
from service.scheduling.batching import Batcher
from service.scheduling.bounded_threads import BoundedThreads
from service.scheduling.embedding_worker import EmbeddingWorker
from service.scheduling.lines import Priority
from service.scheduling.places import Places
from service.settings import Settings

if TYPE_CHECKING:
    from retrieval.gallery import Gallery

P = ParamSpec("P")
T = TypeVar("T")


class Backend:
    """A gallery, the workers that embed its items and its queries, and threads for its collection.

    Writes have a thread of their own, so that searches go on while a write waits for the disk.
    """

    def __init__(self, gallery: Gallery, settings: Settings) -> None:
        self.gallery = gallery
        self.collection = gallery.collection
        self.settings = settings
        self.users = 0
        """Requests that it is answering."""
        limits = ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        batcher = Batcher(
            search_batch=settings.batch_images,
            upload_batch=settings.upload_batch_images,
            delay=settings.batch_delay_ms / 1000,
        )
        self.places = Places(
            searches=settings.max_waiting_searches,
            uploads=settings.max_waiting_uploads,
            seconds_an_image=lambda: batcher.seconds_an_image,
        )
        self.embedding = EmbeddingWorker(
            gallery.embedder, batcher, limits=limits, decode_threads=settings.decode_threads
        )
        queries = gallery.query_embedder
        self.query_embedding = self.embedding if queries is None else self.embedding.beside(queries)
        self._reading = BoundedThreads(settings.search_threads, "read", settings.max_waiting_calls)
        self._writing = BoundedThreads(1, "write", settings.max_waiting_calls)
        self.recall = LiveRecall(gallery.collection, most=settings.max_k)
        self.explanations = Explanations(gallery, limits=limits)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Around a request that it answers: it is not closed before, though another may have taken its place."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    @property
    def waiting(self) -> int:
        """Images that were accepted and are not answered yet."""
        return self.places.taken

    def refuse_if_full(self, priority: Priority) -> None:
        """Raise OverloadedError, before a body is taken apart, if there is no place even for one image."""
        if self.places.full(priority):
            raise self.places.refusal()

    def warm_up(self) -> None:
        """Let each network embed an image, so that the first client does not wait for it. Blocks."""
        self.embedding.warm_up()
        if self.query_embedding is not self.embedding:
            self.query_embedding.warm_up()

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading call of the collection in a thread. Raises OverloadedError if too many wait for one."""
        return await self._reading.run(call, *args, **kwargs)

    async def write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a writing call of the collection in the one thread for writes. Raises OverloadedError, as `read`.

        Who leaves meanwhile may find it done or not; once begun, it is done.
        """
        return await self._writing.run(call, *args, **kwargs)

    def close(self) -> None:
        """Finish what is being worked on and stop the threads; the gallery stays open. Blocks."""
        self.embedding.close()
        self._reading.close()
        self._writing.close()
        self.recall.close()
        self.explanations.close()


async def _ready(request: Request) -> AsyncIterator[Backend]:
    backend = cast("Backend | None", request.app.state.backend)
    if backend is None:
        raise NotReadyError
    with backend.used():
        yield backend


ReadyBackend = Annotated[Backend, Depends(_ready)]
"""A route that takes this answers 503 until the model and the index are loaded."""
