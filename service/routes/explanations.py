"""Explanations: why a query and an item are alike, as a picture."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from indexes.item_checks import check_id
from service.backend import Backend, ReadyBackend
from service.openapi.bodies import EXPLANATION_BODY
from service.problems import ProblemError, invalid_request, responses
from service.requests.uploads import (
    JSON,
    MULTIPART,
    json_body,
    media_type,
    multipart,
    parsed_json,
    unsupported_media_type,
)
from service.scheduling.presence import while_present
from service.schemas import ExplanationChoices, ExplanationQuery

router = APIRouter(tags=["explanations"])

SCORE, PART = "Hdhe-Score", "Hdhe-Part"
PNG_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            SCORE: {
                "description": "Cosine of the query and the item's thumbnail.",
                "schema": {"type": "number"},
                "example": 0.8731,
            },
            PART: {
                "description": "What the map adds up to, with the views item and query. With typical it is what goes "
                "beyond the likeness to the collection's average image.",
                "schema": {"type": "number"},
                "example": 0.1204,
            },
        },
    }
}


@router.post(
    "/v1/explanations",
    response_class=Response,
    openapi_extra=EXPLANATION_BODY,
    responses={**responses(400, 404, 413, 415, 422, 503, 507), **PNG_ANSWER},
)
async def explanations(request: Request, backend: ReadyBackend) -> Response:
    """Which parts of a query (an image, or another item) and of an item make the two alike, as a PNG.

    Of an item there is its stored thumbnail, so the cosine differs a little from the score of a search.
    """
    match media_type(request):
        case "multipart/form-data":
            async with multipart(request, backend.settings) as form:
                form.expect_only("image", *ExplanationChoices.model_fields)
                given = {name: form.field(name) for name in ExplanationChoices.model_fields}
                try:
                    choices = ExplanationChoices.model_validate(
                        {name: value for name, value in given.items() if value is not None}
                    )
                except ValidationError as error:
                    raise invalid_request(error) from None
                # The item first: what waits for a read of the collection must not hold an image meanwhile.
                item = await _thumbnail(choices.id, backend)
                query, name = await form.image(), "the query"
        case "application/json":
            choices = asked = parsed_json(await json_body(request), ExplanationQuery)
            query, name = await _thumbnail(asked.query_id, backend), asked.query_id
            item = await _thumbnail(choices.id, backend)
        case _:
            raise unsupported_media_type(MULTIPART, JSON)
    explaining = backend.explanations.explain(
        query, item, choices.view, typical=choices.typical, names=(name, choices.id), head=choices.head
    )
    explained = await while_present(request, explaining)
    headers = {SCORE: f"{explained.score:.4f}"}
    if explained.part is not None:
        headers[PART] = f"{explained.part:.4f}"
    return Response(explained.png, media_type="image/png", headers=headers)


async def _thumbnail(id: str, backend: Backend) -> bytes:
    check_id(id)
    thumbnail = await backend.read(backend.collection.thumbnail, id)
    if thumbnail is None:
        raise ProblemError(404, "no-picture", "There is no picture", "The item was stored without a picture.")
    return thumbnail
