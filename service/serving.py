"""Which gallery the service answers from: from loading it to closing it, and going over to another meanwhile.

A request keeps the backend that it began with. When another takes its place, new requests get the new one, and the old
one is closed once its last request is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI

from indexes.control_socket import ControlSocket, Task
from indexes.errors import CollectionError
from indexes.local_collection import LocalCollection
from indexes.maintenance import tasks_of
from service.backend import Backend
from service.settings import Settings

if TYPE_CHECKING:
    from retrieval.gallery import Gallery

logger = logging.getLogger(__name__)

OpenGallery = Callable[[Path], "Gallery"]

_LOOK_SECONDS = 0.05


class Serving:
    """The life of the galleries behind one application, whose `state.backend` is the one that answers now."""

    def __init__(self, app: FastAPI, settings: Settings, open_gallery: OpenGallery, collection: Path) -> None:
        """collection: what to serve, a folder or a link to one; a link can be switched while it is served."""
        self._app = app
        self._settings = settings
        self._open = open_gallery
        self._collection = collection
        self._control: ControlSocket | None = None
        self._gallery: Gallery | None = None
        self._changing = Lock()
        self._ending = False
        self._retiring: set[asyncio.Task[None]] = set()

    async def load(self, on_failure: Callable[[BaseException], None] | None) -> None:
        """Open the gallery and get ready. on_failure: see `service.app.create_app`."""
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._load)
        except Exception as error:
            # The process has to go on long enough to say why it stops; what to do about it is the caller's decision.
            if on_failure is None:
                logger.exception("the collection cannot be opened")
            else:
                on_failure(error)

    async def close(self) -> None:
        """Give up what is being changed, finish what is being worked on, and close what was opened."""
        self._ending = True
        # A switch that is under way ends soon, one way or the other; what it leaves is closed below.
        await asyncio.to_thread(self._changing.acquire)
        if self._control is not None:
            self._control.close()
        await asyncio.gather(*self._retiring)
        backend: Backend | None = self._app.state.backend
        self._app.state.backend = None
        if backend is not None:
            await asyncio.to_thread(backend.close)
        if self._gallery is not None:
            await asyncio.to_thread(self._gallery.close)

    def _load(self) -> None:
        with self._changing:
            self._gallery = self._open(self._collection)
            self._app.state.backend = self._backend(self._gallery)
            self._control = self._listen(self._gallery)

    def _backend(self, gallery: Gallery) -> Backend:
        backend = Backend(gallery, self._settings)
        try:
            backend.warm_up()
        except BaseException:
            backend.close()
            raise
        return backend

    def _listen(self, gallery: Gallery) -> ControlSocket | None:
        # The socket is that of whoever may write.
        if not isinstance(gallery.collection, LocalCollection) or not gallery.collection.writable:
            return None
        tasks: dict[str, Task] = {**tasks_of(gallery.collection), "switch": self._switch}
        return ControlSocket(gallery.folder, tasks)

    def _switch(self, to: str) -> dict[str, Any]:
        """Go over to another gallery. to: its path from the folder of the link. Called by the control socket's thread.

        Raises UserError, and then everything is as it was.
        """
        from retrieval.gallery_switch import hand_over

        link = self._collection
        if not link.is_symlink():
            raise CollectionError(
                f"the service serves {link} by its own name; restart it with a link to it, then switch the link"
            )
        with self._changing:
            self._go_on()
            old_gallery, old_control = self._gallery, self._control
            assert old_gallery is not None
            old = cast("LocalCollection", old_gallery.collection)
            old_backend: Backend = self._app.state.backend
            new = self._open((link.absolute().parent / to).resolve())
            backend: Backend | None = None
            try:
                backend = self._backend(new)
                ready = backend

                def take_over() -> None:
                    self._app.state.backend = ready

                taken = hand_over(old, new, link, on_error=_left_out, go_on=self._go_on, then=take_over)
            except BaseException:
                if backend is not None:
                    backend.close()
                new.close()
                raise
            self._gallery, self._control = new, self._listen(new)
            if old_control is not None:
                old_control.close()
            # Before `close` may go on, which waits for what is let go.
            self._loop.call_soon_threadsafe(self._retire, old_backend, old_gallery)
        logger.info(
            "%s: %d items, in the place of %s", new.folder, new.collection.count(), old_gallery.folder
        )
        return asdict(taken)

    def _go_on(self) -> None:
        if self._ending:
            raise CollectionError("the service is stopping; nothing was switched")

    def _retire(self, backend: Backend, gallery: Gallery) -> None:
        task = asyncio.create_task(_close_when_unused(backend, gallery))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _close_when_unused(backend: Backend, gallery: Gallery) -> None:
    while backend.users:
        await asyncio.sleep(_LOOK_SECONDS)
    await asyncio.to_thread(backend.close)
    await asyncio.to_thread(gallery.close)


def _left_out(id: str, error: Exception) -> None:
    logger.warning("left out of the new collection: %s: %s", ascii(id), error)
