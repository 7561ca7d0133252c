"""The application: routes, errors as problem documents, limits, and the life of the model and the index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware

from service.allowed_methods import remember_routes
from service.backend import Backend
from service.observability.request_log import RequestLog, note_route
from service.observability.telemetry import Telemetry
from service.openapi.document import describe
from service.problems import add_problem_handlers
from service.requests.item_ids import EncodedItemPaths
from service.routes import bulk, embeddings, explanations, items, metrics, recall, search, status
from service.security.access import Access
from service.security.body_limit import BodyLimit
from service.security.cross_origin import cross_origin
from service.security.key_file import KeyFile
from service.security.request_limits import RequestLimits
from service.security.safe_headers import SafeHeaders
from service.serving import OpenGallery, Serving
from service.settings import Settings

if TYPE_CHECKING:
    from retrieval.gallery import Gallery

WEB = Path(__file__).parent / "web"
API_VERSION = "1"


def create_app(
    gallery: Gallery | OpenGallery,
    settings: Settings | None = None,
    *,
    collection: Path = Path(),
    keys: KeyFile | None = None,
    on_failure: Callable[[BaseException], None] | None = None,
) -> FastAPI:
    """The service over one gallery.

    gallery: an open one, which answers at once and stays the caller's to close; or how to open the one in a folder,
        which then happens in a thread while the process already answers /healthz, and the service closes it at the end.
    collection: the folder that is then opened, or a link to it, which can be switched to another meanwhile.
    keys: who may do what; None leaves that to the caller, and everybody may do everything.
    on_failure: called from the event loop with the error if it cannot be opened; the service then never gets ready.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        serving = Serving(app, settings, gallery, collection) if callable(gallery) else None
        loading = None if serving is None else asyncio.create_task(serving.load(on_failure))
        try:
            yield
        finally:
            if serving is not None and loading is not None:
                await loading
                await serving.close()
            elif app.state.backend is not None:
                backend: Backend = app.state.backend
                app.state.backend = None
                await asyncio.to_thread(backend.close)

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
    resources = (search, embeddings, bulk, items, explanations, recall, status, metrics)
    for resource in resources:
        app.include_router(resource.router)
    remember_routes(app, (resource.router for resource in resources))
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
