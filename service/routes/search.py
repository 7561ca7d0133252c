"""Search: an image, a vector or an item in, the nearest items out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from indexes.collection import Hit, HitField
from indexes.filter_parsing import parse_filter
from indexes.filters import Filter
from indexes.item_checks import check_id
from service.backend import Backend, ReadyBackend
from service.observability.stages import record
from service.openapi.bodies import SEARCH_BODY
from service.problems import InvalidRequestError, responses
from service.requests.uploads import (
    JSON,
    MULTIPART,
    check_k,
    include_field,
    json_body,
    json_field,
    k_field,
    media_type,
    multipart,
    parsed_json,
    unsupported_media_type,
)
from service.scheduling.batching import milliseconds
from service.scheduling.lines import Priority
from service.scheduling.presence import while_present
from service.schemas import HitBody, SearchAnswer, SearchQuery, TookMs

router = APIRouter(tags=["search"])


@dataclass(frozen=True)
class _Wanted:
    """What a search asks for, whatever it searches by."""

    k: int
    filter: Filter | None
    include: frozenset[HitField]


@router.post(
    "/v1/search",
    openapi_extra=SEARCH_BODY,
    response_model_exclude_unset=True,
    responses=responses(400, 404, 413, 415, 422, 503, 507),
)
async def search(request: Request, backend: ReadyBackend) -> SearchAnswer:
    """The k nearest items to an image (multipart), or to a vector or an item (JSON), best first.

    Fewer than k where fewer pass the filter. An item that is the query is not among its own hits.
    """
    match media_type(request):
        case "multipart/form-data":
            return await _by_image(request, backend)
        case "application/json":
            query = parsed_json(await json_body(request), SearchQuery)
            parsed = None if query.filter is None else parse_filter(query.filter)
            wanted = _Wanted(check_k(query.k, backend.settings), parsed, frozenset(query.include))
            if query.id is not None:
                return await _by_item(query.id, wanted, backend)
            return await _by_vector(query.vector or [], wanted, backend)
        case _:
            raise unsupported_media_type(MULTIPART, JSON)


async def _by_image(request: Request, backend: Backend) -> SearchAnswer:
    backend.refuse_if_full(Priority.SEARCH)
    async with multipart(request, backend.settings) as form:
        form.expect_only("image", "k", "filter", "include")
        k = check_k(k_field(form.field("k")), backend.settings)
        text = form.field("filter")
        parsed = None if text is None else parse_filter(json_field(text, "filter"))
        wanted = _Wanted(k, parsed, include_field(form.field("include")))
        with backend.places.take(Priority.SEARCH):
            content = await form.image()
            return await while_present(request, _of_content(content, wanted, backend))


async def _of_content(content: bytes, wanted: _Wanted, backend: Backend) -> SearchAnswer:
    image = await backend.query_embedding.prepare(content, Priority.SEARCH)
    embedded = await backend.query_embedding.embed([image], Priority.SEARCH)
    took = TookMs(
        decode=image.decode_ms, wait=round(image.wait_ms + embedded.wait_ms, 3), embed=embedded.embed_ms
    )
    return await _answer(embedded.vectors, wanted, backend, took)


async def _by_vector(values: list[float], wanted: _Wanted, backend: Backend) -> SearchAnswer:
    vector = unit_vector(values, backend.gallery.embedder.embedding_size)
    return await _answer(vector[None], wanted, backend, TookMs())


async def _by_item(id: str, wanted: _Wanted, backend: Backend) -> SearchAnswer:
    check_id(id)
    started = time.perf_counter()
    vectors = await backend.read(backend.collection.vectors, [id])
    # One more, since the item itself is usually the first; it is told by its id, not by its score.
    hits = await _hits(vectors, replace(wanted, k=wanted.k + 1), backend)
    others = [hit for hit in hits if hit.id != id][: wanted.k]
    return _body(others, wanted, TookMs(), started)


async def _answer(
    vectors: NDArray[np.float32], wanted: _Wanted, backend: Backend, took: TookMs
) -> SearchAnswer:
    started = time.perf_counter()
    return _body(await _hits(vectors, wanted, backend), wanted, took, started)


def _body(hits: list[Hit], wanted: _Wanted, took: TookMs, started: float) -> SearchAnswer:
    # Named one by one, since what is not set is left out of the answer.
    stages = TookMs(
        decode=took.decode,
        wait=took.wait,
        embed=took.embed,
        search=milliseconds(started, time.perf_counter()),
    )
    return SearchAnswer(hits=[HitBody.of(hit, wanted.include) for hit in hits], took_ms=stages)


async def _hits(vectors: NDArray[np.float32], wanted: _Wanted, backend: Backend) -> list[Hit]:
    started = time.perf_counter()
    found: list[list[Hit]] = await backend.read(
        backend.collection.search, vectors, wanted.k, wanted.filter, include=wanted.include
    )
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
