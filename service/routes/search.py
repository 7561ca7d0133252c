"""Search: an image, a vector or an item in, the nearest items out."""

from __future__ import annotations

import time

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from indexes.collection import Hit
from indexes.filter_parsing import parse_filter
from indexes.filters import Filter
from indexes.item_checks import check_id
from service.backend import Backend, ReadyBackend
from service.lines import Priority
from service.openapi import SEARCH_BODY
from service.presence import while_present
from service.problems import InvalidRequestError, responses
from service.schemas import HitBody, SearchAnswer, SearchQuery, TookMs
from service.stages import record
from service.uploads import (
    JSON,
    MULTIPART,
    check_k,
    json_body,
    json_field,
    k_field,
    media_type,
    multipart,
    parsed_json,
    unsupported_media_type,
)

router = APIRouter(tags=["search"])


@router.post("/v1/search", openapi_extra=SEARCH_BODY, responses=responses(400, 404, 413, 415, 422, 503, 507))
async def search(request: Request, backend: ReadyBackend) -> SearchAnswer:
    """The k nearest items to an image (multipart), or to a vector or an item (JSON), best first.

    Fewer than k where fewer pass the filter. An item that is the query is not among its own hits.
    """
    match media_type(request):
        case "multipart/form-data":
            return await _by_image(request, backend)
        case "application/json":
            query = parsed_json(await json_body(request), SearchQuery)
            check_k(query.k, backend.settings)
            parsed = None if query.filter is None else parse_filter(query.filter)
            if query.id is not None:
                return await _by_item(query.id, query.k, parsed, backend)
            return await _by_vector(query, parsed, backend)
        case _:
            raise unsupported_media_type(MULTIPART, JSON)


async def _by_image(request: Request, backend: Backend) -> SearchAnswer:
    await backend.refuse_if_full(request, Priority.SEARCH)
    async with multipart(request, backend.settings) as form:
        form.expect_only("image", "k", "filter")
        k = check_k(k_field(form.field("k")), backend.settings)
        text = form.field("filter")
        parsed = None if text is None else parse_filter(json_field(text, "filter"))
        content = await form.image()
    with backend.places.take(Priority.SEARCH):
        return await while_present(request, _of_content(content, k, parsed, backend))


async def _of_content(content: bytes, k: int, parsed: Filter | None, backend: Backend) -> SearchAnswer:
    image = await backend.query_embedding.prepare(content, Priority.SEARCH)
    embedded = await backend.query_embedding.embed([image], Priority.SEARCH)
    took = TookMs(
        decode=image.decode_ms, wait=round(image.wait_ms + embedded.wait_ms, 3), embed=embedded.embed_ms
    )
    return await _answer(embedded.vectors, k, parsed, backend, took)


async def _by_vector(query: SearchQuery, parsed: Filter | None, backend: Backend) -> SearchAnswer:
    vector = unit_vector(query.vector or [], backend.gallery.embedder.embedding_size)
    return await _answer(vector[None], query.k, parsed, backend, TookMs())


async def _by_item(id: str, k: int, parsed: Filter | None, backend: Backend) -> SearchAnswer:
    check_id(id)
    started = time.perf_counter()
    vectors = await backend.read(backend.collection.vectors, [id])
    # One more, since the item itself is usually the first; it is told by its id, not by its score.
    hits = await _hits(vectors, k + 1, parsed, backend)
    others = [hit for hit in hits if hit.id != id][:k]
    return SearchAnswer(hits=[HitBody.of(hit) for hit in others], took_ms=TookMs(search=_ms_since(started)))


async def _answer(
    vectors: NDArray[np.float32], k: int, parsed: Filter | None, backend: Backend, took: TookMs
) -> SearchAnswer:
    started = time.perf_counter()
    hits = await _hits(vectors, k, parsed, backend)
    took.search = _ms_since(started)
    return SearchAnswer(hits=[HitBody.of(hit) for hit in hits], took_ms=took)


async def _hits(vectors: NDArray[np.float32], k: int, parsed: Filter | None, backend: Backend) -> list[Hit]:
    started = time.perf_counter()
    found: list[list[Hit]] = await backend.read(backend.collection.search, vectors, k, parsed)
    record("search", time.perf_counter() - started)
    return found[0]


def unit_vector(values: list[float], size: int) -> NDArray[np.float32]:
    """float32[size] of length 1, so that its scores are cosines. Raises InvalidRequestError."""
    if len(values) != size:
        raise InvalidRequestError(f"vector has {len(values)} numbers; this collection's have {size}.")
    vector = np.asarray(values, np.float64)
    # Scaled first: the squares of numbers near the ends of the range would overflow, or vanish.
    largest = np.abs(vector).max()
    if not np.isfinite(largest) or largest == 0:
        raise InvalidRequestError("vector must be finite and not all zeros.")
    vector /= largest
    vector /= np.linalg.norm(vector)
    return vector.astype(np.float32)


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
