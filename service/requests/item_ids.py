"""Ids of items in the path of a URL.

An id may hold slashes, written plainly or as %2F: /v1/items/a/b and /v1/items/a%2Fb name the same item. One rule
decides between an item and its picture: a path that ends in a plainly written `/image` is the picture. The item
`a/image` is therefore /v1/items/a%2Fimage, and its picture /v1/items/a%2Fimage/image.

Servers hand over the path decoded, where the two can no longer be told apart; `EncodedItemPaths` puts the path as it
was sent back in its place below /v1/items/, and `ItemId` decodes what the route has cut out.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Path, Request
from pydantic import JsonValue
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from indexes.collection import MAX_ID_LENGTH
from indexes.item_checks import check_id
from service.problems import InvalidRequestError
from service.schemas import TEXT_PATTERN

PREFIX = "/v1/items/"
IMAGE = "/image"
# Said, but not checked by the framework, which sees the id percent-encoded.
_IN_DOCUMENT: dict[str, JsonValue] = {"minLength": 1, "maxLength": MAX_ID_LENGTH, "pattern": TEXT_PATTERN}


class EncodedItemPaths:
    """ASGI middleware: routes below /v1/items/ see the path percent-encoded, as the client sent it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] == "http" and scope["path"].startswith(scope.get("root_path", "") + PREFIX):
            raw = scope.get("raw_path")
            if raw is not None:
                scope = {**scope, "path": raw.decode("latin-1")}
        await self._app(scope, receive, send)


def _decoded(id: str) -> str:
    try:
        decoded = unquote_to_bytes(id).decode()
    except UnicodeDecodeError:
        raise InvalidRequestError("The id in the path is not UTF-8 when it is percent-decoded.") from None
    check_id(decoded)
    return decoded


async def _of_item(
    request: Request,
    id: Annotated[
        str,
        Path(
            description="Slashes may be plain or %2F; an id that ends in /image needs %2Fimage.",
            json_schema_extra=_IN_DOCUMENT,
        ),
    ],
) -> str:
    if id.endswith(IMAGE):
        owner = _decoded(id.removesuffix(IMAGE))
        raise HTTPException(
            405,
            f"{request.url.path} is the picture of item {owner!r} and can only be read; "
            "write %2Fimage for an item whose id ends in /image",
            {"Allow": "GET"},
        )
    return _decoded(id)


async def _of_image(
    id: Annotated[str, Path(description="As for the item itself.", json_schema_extra=_IN_DOCUMENT)],
) -> str:
    return _decoded(id)


ItemId = Annotated[str, Depends(_of_item)]
ImageId = Annotated[str, Depends(_of_image)]
