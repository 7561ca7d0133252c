"""Items one at a time: put, get, delete, their pictures, and paging through all of them."""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response
from numpy.typing import NDArray

from indexes.errors import UnknownItemError
from indexes.filters import LabelIn
from service.backend import Backend, ReadyBackend
from service.openapi.bodies import ITEM_BODY
from service.problems import InvalidRequestError, ProblemError, responses
from service.requests.item_ids import ImageId, ItemId
from service.requests.known_writes import IdempotencyKey, known_write, new_item
from service.requests.uploads import attributes_field, multipart
from service.scheduling.embedding_worker import Prepared
from service.scheduling.lines import Priority
from service.scheduling.presence import while_present
from service.schemas import ItemBody, ItemsPage

router = APIRouter(tags=["items"])

JPEG_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/v1/items", responses=responses(422, 503, 507))
async def page_items(
    backend: ReadyBackend,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before.")] = None,
    label: Annotated[str | None, Query(description="Only items of this label.")] = None,
) -> ItemsPage:
    """Items in the order of their ids. Items written meanwhile appear if they lie behind the cursor."""
    after = None if cursor is None else _id_of(cursor)
    wanted = None if label is None else LabelIn((label,))
    items = await backend.read(backend.collection.page, after=after, limit=limit + 1, filter=wanted)
    more = len(items) > limit
    return ItemsPage(
        items=[ItemBody.of(item) for item in items[:limit]],
        next_cursor=_cursor_of(items[limit - 1].id) if more else None,
    )


# Before the routes of the item: their paths would take this one's for an id.
@router.get(
    "/v1/items/{id:path}/image",
    response_class=Response,
    responses={
        **responses(404, 422, 503, 507),
        **JPEG_ANSWER,
        304: {"description": "The picture is unchanged."},
    },
)
async def get_item_image(
    id: ImageId,
    backend: ReadyBackend,
    if_none_match: Annotated[str | None, Header(description="ETag of the picture at hand.")] = None,
) -> Response:
    """The stored thumbnail, a JPEG of at most 256 x 256 pixels."""
    thumbnail = await backend.read(backend.collection.thumbnail, id)
    if thumbnail is None:
        raise ProblemError(404, "no-picture", "There is no picture", "The item was stored without a picture.")
    etag = f'"{hashlib.sha256(thumbnail).hexdigest()[:32]}"'
    # no-cache: keep it, but ask first, because an upsert may replace the picture.
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if if_none_match is not None and _matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(thumbnail, media_type="image/jpeg", headers=headers)


@router.put(
    "/v1/items/{id:path}",
    openapi_extra=ITEM_BODY,
    responses={
        **responses(400, 405, 413, 415, 422, 503, 507),
        201: {"model": ItemBody, "description": "Created."},
    },
)
async def put_item(
    id: ItemId,
    request: Request,
    response: Response,
    backend: ReadyBackend,
    idempotency_key: IdempotencyKey = None,
) -> ItemBody:
    """Store an image under this id, or replace the item that is there. Answered when it is on disk.

    Where the item has come from the same image, with the same label and attributes, it stays as it is.
    """
    backend.refuse_if_full(Priority.UPLOAD)
    async with multipart(request, backend.settings) as form:
        form.expect_only("image", "label", "attributes")
        label = form.field("label") or None
        attributes = attributes_field(form.field("attributes"))
        with backend.places.take(Priority.UPLOAD):
            content = await form.image()
            write, answer = await known_write(backend, content, id, label, attributes, idempotency_key)
            if answer is None:
                image, vector = await while_present(request, _embedded(content, backend))
                item = new_item(write, vector, image.thumbnail)
                (answer,) = await backend.write(backend.collection.upsert, [item])
    response.status_code = 201 if answer.created else 200
    return ItemBody.of(answer.item)


@router.get("/v1/items/{id:path}", responses=responses(404, 422, 503, 507))
async def get_item(id: ItemId, backend: ReadyBackend) -> ItemBody:
    """Label, attributes and sequence number of one item."""
    (item,) = await backend.read(backend.collection.get, [id])
    if item is None:
        raise UnknownItemError(f"no item has the id {id!r}")
    return ItemBody.of(item)


@router.delete("/v1/items/{id:path}", status_code=204, responses=responses(404, 405, 422, 503, 507))
async def delete_item(id: ItemId, backend: ReadyBackend) -> None:
    """Remove one item. Answered when its removal is on disk."""
    (deleted,) = await backend.write(backend.collection.delete, [id])
    if not deleted:
        raise UnknownItemError(f"no item has the id {id!r}")


async def _embedded(content: bytes, backend: Backend) -> tuple[Prepared, NDArray[np.float32]]:
    image = await backend.embedding.prepare(content, Priority.UPLOAD, thumbnail=True)
    return image, (await backend.embedding.embed([image], Priority.UPLOAD)).vectors[0]


def _cursor_of(id: str) -> str:
    return base64.urlsafe_b64encode(id.encode()).decode().rstrip("=")


def _id_of(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InvalidRequestError(
            "cursor is not one that this service gave; begin again without it."
        ) from None


def _matches(if_none_match: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags
