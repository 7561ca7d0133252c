"""A client of the service: calls answer with the models of the service's own schema. docs/service.md has an example.

A busy or starting service (429, 503) is asked again, a few times, after the time that it names; so is one whose
connection breaks. Uploads carry an `Idempotency-Key`, so that one that was carried out unseen is not made again when it
is sent again, and is answered as the first time. A deletion that may have been carried out is not sent again. Any other
refusal is raised as a `ServiceError`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from indexes.collection import HitField, Scalar
from indexes.errors import UserError
from service.problems import Problem
from service.schemas import (
    BulkAnswer,
    BulkResult,
    EmbeddingsAnswer,
    ItemBody,
    ItemsPage,
    ModelAnswer,
    RecallAnswer,
    SearchAnswer,
    StatsAnswer,
    View,
)

Body = TypeVar("Body", bound=BaseModel)

ImageFile = Path | bytes
Filter = Mapping[str, object]

BUSY = frozenset({429, 503})
LONGEST_WAIT = 30.0
"""Seconds. A service that names a longer time is not asked again."""
TOO_LATE = "urn:hdhe:problem:time-limit"
"""The answer was not ready in time; what was asked for may be done all the same."""


class ServiceError(UserError):
    """The service refused. problem: what it says about it; retry_after: seconds, where it names some."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(f"{problem.title} ({problem.status}): {problem.detail or problem.title}")
        self.problem = problem
        self.status = problem.status
        self.retry_after = retry_after


class UnreachableError(UserError):
    """No answer, or not one of this service."""


@dataclass(frozen=True)
class NewImage:
    """An image to be stored by `Client.put_many`."""

    id: str
    image: ImageFile
    label: str | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)


class Client:
    """One service. Safe for use from many threads.

    key: an API key, where the service wants one. timeout: seconds that an answer may take. tries: of a request, the
    first one included. transport: what carries the requests, for tests.
    """

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        tries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tries = max(1, tries)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout, transport=transport)

    def search(
        self,
        image: ImageFile | None = None,
        *,
        id: str | None = None,
        vector: Sequence[float] | None = None,
        k: int = 10,
        filter: Filter | None = None,
        include: Sequence[HitField] = ("label", "attributes"),
    ) -> SearchAnswer:
        """The k nearest items to an image, an item or a vector (one of the three), best first.

        include: what each hit says of its item beside id and score; nothing is the quickest.
        """
        if image is not None:
            fields = {"k": str(k), "include": json.dumps(include)}
            if filter is not None:  # an empty one would be looked up for every item
                fields["filter"] = json.dumps(filter)
            return self._ask(SearchAnswer, "POST", "/v1/search", data=fields, files=[_file(image)])
        query = {"id": id, "vector": vector, "k": k, "filter": filter, "include": include}
        asked = {name: value for name, value in query.items() if value is not None}
        return self._ask(SearchAnswer, "POST", "/v1/search", json=asked)

    def embed(self, images: Sequence[ImageFile]) -> EmbeddingsAnswer:
        """The embedding of each image as a query, in order. Nothing is stored."""
        return self._ask(EmbeddingsAnswer, "POST", "/v1/embeddings", files=[_file(image) for image in images])

    def explain(
        self,
        id: str,
        image: ImageFile | None = None,
        *,
        query_id: str | None = None,
        view: View = "item",
        typical: bool = True,
        head: int | None = None,
    ) -> bytes:
        """A PNG of what makes an item like an image, or like another item; see POST /v1/explanations."""
        path = "/v1/explanations"
        asked = {"id": id, "view": view, "typical": typical} | ({} if head is None else {"head": head})
        if image is not None:
            return self._send("POST", path, data=asked, files=[_file(image)]).content
        return self._send("POST", path, json={**asked, "query_id": query_id}).content

    def put(
        self,
        id: str,
        image: ImageFile,
        *,
        label: str | None = None,
        attributes: Mapping[str, Scalar] | None = None,
    ) -> ItemBody:
        """Store an image, or replace the item that is there. Returns when it is on the service's disk."""
        fields = {"label": label or "", "attributes": json.dumps(attributes or {})}
        return self._ask(ItemBody, "PUT", _path(id), data=fields, files=[_file(image)], headers=_named())

    def put_many(self, images: Iterable[NewImage], *, batch: int = 32) -> Iterator[BulkResult]:
        """Store any number of images, `batch` a request; yields a result for each, in order, as they are on disk."""
        remaining = iter(images)
        while chunk := list(islice(remaining, batch)):
            fields = {
                "id": [new.id for new in chunk],
                "label": [new.label or "" for new in chunk],
                "attributes": [json.dumps(dict(new.attributes)) for new in chunk],
            }
            files = [_file(new.image) for new in chunk]
            answer = self._ask(BulkAnswer, "POST", "/v1/items", data=fields, files=files, headers=_named())
            yield from answer.results

    def get(self, id: str) -> ItemBody:
        """Label, attributes and sequence number of an item."""
        return self._ask(ItemBody, "GET", _path(id))

    def thumbnail(self, id: str) -> bytes:
        """The stored picture of an item, a JPEG."""
        return self._send("GET", f"{_path(id)}/image").content

    def delete(self, id: str) -> None:
        """Remove an item. Returns when its removal is on the service's disk."""
        self._send("DELETE", _path(id))

    def items(self, *, label: str | None = None, page: int = 500) -> Iterator[ItemBody]:
        """All items, or those of a label, in the order of their ids; asked for page by page as they are used."""
        cursor: str | None = None
        while True:
            asked = {"limit": page, "label": label, "cursor": cursor}
            parameters = {name: value for name, value in asked.items() if value is not None}
            answer = self._ask(ItemsPage, "GET", "/v1/items", params=parameters)
            yield from answer.items
            cursor = answer.next_cursor
            if cursor is None:
                return

    def recall(self, ks: Sequence[int] = (1, 2, 4, 8)) -> RecallAnswer:
        """Recall@K of the labelled items, each searched among all others."""
        return self._ask(RecallAnswer, "GET", "/v1/recall", params={"k": ",".join(map(str, ks))})

    def stats(self) -> StatsAnswer:
        """What is in the collection."""
        return self._ask(StatsAnswer, "GET", "/v1/stats")

    def model(self) -> ModelAnswer:
        """The model that filled the collection, and the one that embeds queries."""
        return self._ask(ModelAnswer, "GET", "/v1/model")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, model: type[Body], method: str, path: str, **body: Any) -> Body:
        answer = self._send(method, path, **body)
        try:
            return model.model_validate_json(answer.content)
        except ValidationError:
            raise UnreachableError(f"{answer.request.url} does not answer as this service does") from None

    def _send(self, method: str, path: str, **body: Any) -> httpx.Response:
        for tries_left in reversed(range(self._tries)):
            try:
                answer = self._http.request(method, path, **body)
            except httpx.TransportError as error:
                # A deletion that was carried out unseen would answer 404 the second time.
                if tries_left == 0 or method == "DELETE":
                    raise UnreachableError(f"{self._http.base_url} does not answer: {error}") from None
                time.sleep(1 / (1 + tries_left))
                continue
            if answer.is_success:
                return answer
            refusal = _refusal(answer)
            wait = refusal.retry_after
            unsure = method == "DELETE" and refusal.problem.type == TOO_LATE
            if answer.status_code not in BUSY or tries_left == 0 or (wait or 0) > LONGEST_WAIT or unsure:
                raise refusal
            time.sleep(1.0 if wait is None else wait)
        raise AssertionError("the last try returns or raises")


def _path(id: str) -> str:
    # Dots alone are steps in a path, and would be resolved before anything is sent.
    encoded = id.replace(".", "%2E") if id in (".", "..") else quote(id, safe="")
    return f"/v1/items/{encoded}"


def _named() -> dict[str, str]:
    """A name for one write, the same however often it is sent."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def _file(image: ImageFile) -> tuple[str, tuple[str, bytes]]:
    # A name, so that the part counts as a file; it says nothing, since names of files are nobody's business.
    return "image", ("image", image.read_bytes() if isinstance(image, Path) else image)


def _refusal(answer: httpx.Response) -> ServiceError:
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:  # a proxy between here and there
        problem = Problem(title=answer.reason_phrase or "No reason given", status=answer.status_code)
    wait = answer.headers.get("Retry-After", "")
    return ServiceError(problem, float(wait) if wait.isdigit() else None)
