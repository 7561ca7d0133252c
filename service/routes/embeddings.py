"""Embeddings: images in, vectors out, nothing stored."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from retrieval.errors import ImageError
from service.backend import Backend, ReadyBackend
from service.openapi.bodies import IMAGES_BODY
from service.problems import responses
from service.requests.uploads import Form, multipart
from service.scheduling.embedding_worker import Prepared
from service.scheduling.lines import Priority
from service.scheduling.presence import while_present
from service.scheduling.turns import images_under_way, in_turns
from service.schemas import EmbeddingsAnswer

router = APIRouter(tags=["embeddings"])


@router.post("/v1/embeddings", openapi_extra=IMAGES_BODY, responses=responses(400, 413, 415, 422, 503, 507))
async def embeddings(request: Request, backend: ReadyBackend) -> EmbeddingsAnswer:
    """The L2-normalised embedding of each image as a query, in order; one image that cannot be used refuses all."""
    backend.refuse_if_full(Priority.UPLOAD)
    async with multipart(request, backend.settings) as form:
        form.expect_only("image")
        files = form.uploads()
        with backend.places.take(Priority.UPLOAD, images_under_way(len(files), backend.settings)):
            vectors = await while_present(request, _vectors(files, form, backend))
    return EmbeddingsAnswer(embeddings=vectors, model=backend.gallery.asks.fingerprint)


async def _vectors(files: Sequence[UploadFile], form: Form, backend: Backend) -> list[list[float]]:
    worker = backend.query_embedding

    async def prepare(turn: Sequence[tuple[int, UploadFile]]) -> list[Prepared]:
        prepared = []
        for position, file in turn:
            try:
                prepared.append(await worker.prepare(await form.content(file), Priority.UPLOAD))
            except ImageError as error:
                raise ImageError(f"image {position + 1} of {len(files)}: {error}") from None
        return prepared

    async def embed(prepared: list[Prepared]) -> list[list[float]]:
        vectors: list[list[float]] = (await worker.embed(prepared, Priority.UPLOAD)).vectors.tolist()
        return vectors

    return await in_turns(list(enumerate(files)), prepare, embed, size=backend.settings.upload_batch_images)
