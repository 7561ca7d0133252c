"""The application: routes, errors as problem documents, limits, and the life of the model and the index."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware

from service.access import Access
from service.backend import Backend
from service.body_limit import BodyLimit
from service.cross_origin import cross_origin
from service.item_ids import EncodedItemPaths
from service.key_file import KeyFile
from service.openapi import describe
from service.problems import add_problem_handlers
from service.request_limits import RequestLimits
from service.request_log import RequestLog, note_route
from service.routes import bulk, embeddings, explanations, items, metrics, recall, search, status
from service.safe_headers import SafeHeaders
from service.settings import Settings
from service.telemetry import Telemetry

if TYPE_CHECKING:
    from retrieval.gallery import Gallery

logger = logging.getLogger(__name__)

WEB = Path(__file__).parent / "web"
API_VERSION = "1"


def create_app(
    gallery: Gallery | Callable[[], Gallery],
    settings: Settings | None = None,
    *,
    keys: KeyFile | None = None,
    on_failure: Callable[[BaseException], None] | None = None,
) -> FastAPI:
    """The service over one gallery.

    gallery: an open one, which answers at once and stays the caller's to close; or how to open it, which then happens
        in a thread while the process already answers /healthz, and the service closes it at the end.
    keys: who may do what; None leaves that to the caller, and everybody may do everything.
    on_failure: called from the event loop with the error if it cannot be opened; the service then never gets ready.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        loading = (
            asyncio.create_task(_load(app, gallery, settings, on_failure)) if callable(gallery) else None
        )
        try:
            yield
        finally:
            opened = await loading if loading else None
            backend: Backend | None = app.state.backend
            app.state.backend = None
            if backend is not None:
                await asyncio.to_thread(backend.close)
            if opened is not None:
                await asyncio.to_thread(opened.close)

    app = FastAPI(
        title="hdhe",
        version=API_VERSION,
        description="Image search by metric learning: search by image, vector or item, and measure the Recall@K.",
        lifespan=life,
        # The interactive pages load scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
        # A redirect from /v1/items/ to /v1/items would take the empty id for a page of items.
        redirect_slashes=False,
        dependencies=[Depends(note_route)],
    )
    app.state.telemetry = telemetry = Telemetry()
    app.state.backend = None if callable(gallery) else Backend(gallery, settings)
    for routes in (search, embeddings, bulk, items, explanations, recall, status, metrics):
        app.include_router(routes.router)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    app.add_api_route("/", _page, include_in_schema=False)
    add_problem_handlers(app)
    describe(app)
    # From the innermost to the outermost. Whoever is not let in takes no place, and every answer is logged and safe.
    app.add_middleware(EncodedItemPaths)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(RequestLimits, settings=settings)
    if keys is not None:
        app.add_middleware(Access, keys=keys, settings=settings)
    if settings.origins:
        app.add_middleware(CORSMiddleware, **cross_origin(settings))
    app.add_middleware(RequestLog, telemetry=telemetry)
    app.add_middleware(SafeHeaders)
    return app


async def _page() -> FileResponse:
    return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


async def _load(
    app: FastAPI,
    open_gallery: Callable[[], Gallery],
    settings: Settings,
    on_failure: Callable[[BaseException], None] | None,
) -> Gallery | None:
    """Open the gallery and get ready; what was opened, also when getting ready failed."""
    opened: Gallery | None = None
    try:
        opened = await asyncio.to_thread(open_gallery)
        backend = Backend(opened, settings)
        await asyncio.to_thread(backend.warm_up)
        app.state.backend = backend
    except Exception as error:
        # The process has to go on long enough to say why it stops; what to do about it is the caller's decision.
        if on_failure is None:
            logger.exception("the collection cannot be opened")
        else:
            on_failure(error)
    return opened
