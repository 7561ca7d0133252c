"""Embeddings: images in, vectors out, nothing stored."""

from __future__ import annotations

from fastapi import APIRouter, Request

from retrieval.errors import ImageError
from service.backend import ReadyBackend
from service.openapi import IMAGES_BODY
from service.problems import responses
from service.schemas import EmbeddingsAnswer
from service.uploads import multipart

router = APIRouter(tags=["embeddings"])

IMAGES_A_TURN = 8
"""So many images are embedded before another request gets the network."""


@router.post("/v1/embeddings", openapi_extra=IMAGES_BODY, responses=responses(400, 413, 415, 422, 503, 507))
async def embeddings(request: Request, backend: ReadyBackend) -> EmbeddingsAnswer:
    """The L2-normalised embedding of each image as a query, in order; one image that cannot be used refuses all."""
    vectors: list[list[float]] = []
    async with multipart(request, backend.settings) as form:
        form.expect_only("image")
        files = form.uploads()
        for start in range(0, len(files), IMAGES_A_TURN):
            prepared = []
            for position, file in enumerate(files[start : start + IMAGES_A_TURN], start):
                try:
                    prepared.append(await backend.query_embedding.prepare(await form.content(file)))
                except ImageError as error:
                    raise ImageError(f"image {position + 1} of {len(files)}: {error}") from None
            vectors.extend((await backend.query_embedding.embed(prepared)).vectors.tolist())
    return EmbeddingsAnswer(embeddings=vectors, model=backend.gallery.asks.fingerprint)
