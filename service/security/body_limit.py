"""A cap on the bytes of a request body that holds while the body arrives, whatever its headers claim."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import TooLargeError, problem_response
from service.settings import MEBIBYTE, Settings

FORM_BYTES = 2 * MEBIBYTE
"""For what a form holds beside its images: label, attributes, filter, and the part headers."""
_MANY_IMAGES = {("POST", "/v1/items"), ("POST", "/v1/embeddings")}


def many_images(scope: Scope) -> bool:
    """Whether this request may carry many images."""
    return (scope["method"], scope["path"]) in _MANY_IMAGES


class BodyLimit:
    """ASGI middleware: answers 413 to a declared length over the cap, and stops reading a body that grows over it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._one_image = settings.max_image_bytes + FORM_BYTES
        self._many_images = settings.max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._many_images if many_images(scope) else self._one_image
        error = TooLargeError(f"A request of this kind may have at most {limit} bytes.")
        if _declared_length(scope) > limit:
            await problem_response(error.problem)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise error
            return message

        await self._app(scope, counted, send)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0
