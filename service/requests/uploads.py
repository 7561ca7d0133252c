"""The body of a request, read once into typed values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile

from indexes.collection import HIT_FIELDS, HitField, Scalar
from service.problems import InvalidRequestError, ProblemError, TooLargeError, invalid_request
from service.requests.form_parser import parsed_form
from service.schemas import DEFAULT_K
from service.security.rate_limit import charge_images
from service.settings import MEBIBYTE, Settings

Body = TypeVar("Body", bound=BaseModel)

MULTIPART = "multipart/form-data"
JSON = "application/json"
MAX_JSON_BYTES = MEBIBYTE


@dataclass(frozen=True)
class Form:
    """A multipart form whose images stay on their way until they are asked for."""

    data: FormData
    settings: Settings

    def fields(self, name: str) -> list[str]:
        """All text fields of this name, in order."""
        values = self.data.getlist(name)
        if any(isinstance(value, UploadFile) for value in values):
            raise InvalidRequestError(f"The field {name} is text, not a file.")
        return [value for value in values if isinstance(value, str)]

    def field(self, name: str) -> str | None:
        """The one text field of this name; None where it is absent. Empty, it is not: a filter must not be lost so."""
        values = self.fields(name)
        if len(values) > 1:
            raise InvalidRequestError(f"The field {name} is given {len(values)} times; once is enough.")
        return values[0] if values else None

    def uploads(self) -> list[UploadFile]:
        """The files named `image`, in order; at least one."""
        values = self.data.getlist("image")
        files = [value for value in values if isinstance(value, UploadFile)]
        if not files or len(files) < len(values):
            raise InvalidRequestError("Send the image as a file in the multipart field `image`.")
        return files

    async def image(self) -> bytes:
        """The content of the one image."""
        files = self.uploads()
        if len(files) > 1:
            raise InvalidRequestError(f"This request takes one image; it has {len(files)}.")
        return await self.content(files[0])

    async def content(self, file: UploadFile) -> bytes:
        """The bytes of one image. Raises TooLargeError."""
        limit = self.settings.max_image_bytes
        content = await file.read(limit + 1)
        if len(content) > limit:
            raise TooLargeError(f"An image may have at most {limit} bytes.")
        return content

    def expect_only(self, *names: str) -> None:
        """Refuse fields that would be ignored; a misspelt filter must not widen a search."""
        unknown = sorted(set(self.data.keys()) - set(names))
        if unknown:
            raise InvalidRequestError(f"Unknown field {unknown[0][:80]!r}; known are {', '.join(names)}.")


def media_type(request: Request) -> str:
    """The content type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@asynccontextmanager
async def multipart(request: Request, settings: Settings) -> AsyncIterator[Form]:
    """The form of a multipart request; its files are gone afterwards."""
    if media_type(request) != MULTIPART:
        raise unsupported_media_type(MULTIPART)
    async with parsed_form(request, settings) as data:
        files = len(data.getlist("image"))
        if files > settings.max_request_images:
            raise TooLargeError(f"A request may have at most {settings.max_request_images} images.")
        charge_images(request.scope, files)
        yield Form(data, settings)


def unsupported_media_type(*known: str) -> ProblemError:
    """The refusal of a body of another type."""
    detail = f"Send the body as {' or '.join(known)}."
    return ProblemError(415, "unsupported-media-type", "The body is of another type", detail)


async def json_body(request: Request) -> bytes:
    """The raw JSON body, while it is small. Raises TooLargeError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise TooLargeError(f"A JSON body may have at most {MAX_JSON_BYTES} bytes.")
    return bytes(body)


def parsed_json(body: bytes, model: type[Body]) -> Body:
    """A JSON body as this model. Raises ProblemError: 400 for what is not JSON, 422 for what the model refuses."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        detail = f"The body is not JSON: {error}."
        raise ProblemError(400, "malformed", "The body is not JSON", detail) from None
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request(error) from None


def json_field(text: str, name: str) -> Any:
    """The value of a form field that holds JSON. Raises InvalidRequestError."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"The field {name} is not JSON: {error}.") from None


def attributes_field(text: str | None) -> dict[str, Scalar]:
    """Attributes from their form field: a flat JSON object. The collection checks the values."""
    if not text:
        return {}
    value = json_field(text, "attributes")
    if not isinstance(value, dict):
        raise InvalidRequestError('attributes is a JSON object such as {"color": "red", "price": 12.5}.')
    for name, inner in value.items():
        if isinstance(inner, dict | list):
            raise InvalidRequestError(
                f"attributes.{name[:80]}: a string, a number, true, false or null; got a nested value."
            )
    return value


def include_field(text: str | None) -> frozenset[HitField]:
    """What hits say, from its form field: a JSON list."""
    if text is None:
        return HIT_FIELDS
    value = json_field(text, "include")
    if not isinstance(value, list) or not all(isinstance(each, str) and each in HIT_FIELDS for each in value):
        raise InvalidRequestError(f"include is a JSON list of some of {', '.join(sorted(HIT_FIELDS))}.")
    return frozenset(value)


def k_field(text: str | None) -> int:
    """K from its form field."""
    if text is None:
        return DEFAULT_K
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidRequestError(f"k is a whole number from 1; got {text[:40]!r}.")
    return int(text)


def check_k(k: int, settings: Settings) -> int:
    """K, if the service answers so many hits. Raises InvalidRequestError."""
    if not 1 <= k <= settings.max_k:
        raise InvalidRequestError(f"k is a whole number from 1 to {settings.max_k}; got {k}.")
    return k


def aligned(values: Sequence[str], count: int, name: str) -> list[str | None]:
    """One value an image; empty means none. No values at all means none for every image."""
    if not values:
        return [None] * count
    if len(values) != count:
        raise InvalidRequestError(
            f"There are {count} images and {len(values)} fields {name}; repeat {name} for each image, "
            "empty where there is none, or leave it out."
        )
    return [value or None for value in values]
