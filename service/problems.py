"""Errors as RFC 9457 problem documents: what a client may be told, and nothing of the server's inside.

Only errors that describe the client's own input carry their message to the client. Everything else (a full disk, a
bug) is answered with a fixed sentence, because its message may name a path; the log has the details.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from indexes.errors import (
    CollectionLockedError,
    CollectionReplacedError,
    FilterError,
    InvalidItemError,
    StorageError,
    UnknownItemError,
    UnreachableError,
    UserError,
)
from retrieval.errors import ImageError
from service.allowed_methods import allowed_methods, nearest_path

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_TYPES = "urn:hdhe:problem:"
RETRY_SECONDS = 2
"""Of a 503 that names no time of its own."""


class FieldProblem(BaseModel):
    """One wrong field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(default="about:blank", examples=["urn:hdhe:problem:unreadable-image"])
    title: str = Field(examples=["The image cannot be used"])
    status: int = Field(examples=[422])
    detail: str | None = Field(default=None, description="One sentence on this occurrence.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="The wrong fields, where there are several."
    )


class ProblemError(Exception):
    """Raised anywhere in a request to answer with this problem. kind: the last part of the problem's type."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        errors: list[FieldProblem] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(type=_TYPES + kind, title=title, status=status, detail=detail, errors=errors)
        self.headers = headers


class InvalidRequestError(ProblemError):
    """A field that is missing or wrong; the detail names it."""

    def __init__(self, detail: str, errors: list[FieldProblem] | None = None) -> None:
        super().__init__(422, "invalid-request", "The request is not valid", detail, errors=errors)


class TooLargeError(ProblemError):
    """More bytes or more images than the service takes."""

    def __init__(self, detail: str) -> None:
        super().__init__(413, "too-large", "The upload is too large", detail)


class NotReadyError(ProblemError):
    """The model and the index are still being loaded."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "not-ready",
            "The service is starting",
            "The model and the index are still being loaded; try again in a moment.",
        )


class OverloadedError(ProblemError):
    """Answered with 503 and the seconds after which what is in line now should be done."""

    def __init__(self, seconds: int = 1) -> None:
        super().__init__(
            503,
            "overloaded",
            "There is too much to do",
            "As much is waiting as may wait; try again after the seconds in Retry-After.",
            headers={"Retry-After": str(seconds)},
        )


def problem_of(error: BaseException) -> Problem:
    """The problem document that answers this error; status 500 for one that is no fault of the client."""
    match error:
        case ProblemError():
            return error.problem
        case ImageError():
            return _problem(422, "unreadable-image", "The image cannot be used", str(error))
        case UnknownItemError():
            return _problem(404, "unknown-item", "There is no such item", str(error))
        case InvalidItemError():
            return _problem(422, "invalid-item", "The item cannot be stored", str(error))
        case FilterError():
            return _problem(422, "invalid-filter", "The filter cannot be read", str(error))
        case CollectionLockedError():
            detail = "Another process is writing to the collection; try again in a moment."
            return _problem(503, "collection-locked", "The collection is locked", detail)
        case CollectionReplacedError():
            detail = "The collection was replaced by another just now; send the request again."
            return _problem(503, "collection-replaced", "The collection was replaced", detail)
        case UnreachableError():
            detail = "The server that holds the items does not answer; try again in a moment."
            return _problem(503, "collection-unreachable", "The collection cannot be reached", detail)
        case StorageError() | OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EROFS):
            detail = "The server's disk refused the operation. Everything acknowledged before is kept."
            return _problem(507, "storage", "The collection cannot be stored", detail)
        case _:
            return _problem(500, "internal", "The server failed", "The cause is in the server's log.")


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP answer that carries this problem."""
    if problem.status == 503:
        headers = {"Retry-After": str(RETRY_SECONDS), **(headers or {})}
    return JSONResponse(
        problem.model_dump(exclude_none=True), problem.status, headers=headers, media_type=MEDIA_TYPE
    )


def invalid_request(error: ValidationError | RequestValidationError) -> InvalidRequestError:
    """A failed check by pydantic, in words. The rejected values are left out: they may not even be JSON."""
    fields = [
        FieldProblem(field=".".join(str(part) for part in each["loc"]) or "body", message=each["msg"])
        for each in error.errors()
    ]
    return InvalidRequestError("; ".join(f"{each.field}: {each.message}" for each in fields[:3]), fields)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of the problems an operation can answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in (*statuses, 500)
    }


def add_problem_handlers(app: FastAPI) -> None:
    """Turn every error that can leave a route, and those of the framework, into problem documents."""
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    for kind in (ProblemError, UserError, OSError):
        app.add_exception_handler(kind, _on_error)
    app.add_exception_handler(Exception, _on_error)


def _problem(status: int, kind: str, title: str, detail: str) -> Problem:
    return Problem(type=_TYPES + kind, title=title, status=status, detail=detail)


async def _on_error(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.status >= 500 and not isinstance(error, ProblemError):
        logger.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return problem_response(problem, error.headers if isinstance(error, ProblemError) else None)


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid_request(error).problem)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    detail = None if error.detail == title else error.detail
    headers = dict(error.headers or {})
    if error.status_code == 405 and detail is None:
        if allowed := allowed_methods(request):
            headers["Allow"] = allowed
        detail = f"This path takes {headers.get('Allow', 'other methods')}; see /openapi.json."
    if error.status_code == 404 and detail is None:
        meant = nearest_path(request)
        hint = "" if meant is None else f"; did you mean {meant}?"
        detail = f"There is no such path{hint or '.'} /openapi.json lists all."
    return problem_response(Problem(title=title, status=error.status_code, detail=detail), headers)


async def _on_disconnect(_: Request, __: Exception) -> Response:
    # Nobody reads this answer; without it the log would show a failure of the server.
    return problem_response(Problem(title="The client left", status=499))
