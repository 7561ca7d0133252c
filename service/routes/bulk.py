"""Many items in one request, with a result for each: one bad image does not spoil the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from indexes.collection import NewItem, Upserted, Write
from indexes.errors import InvalidItemError, UserError
from indexes.item_checks import check_id
from service.backend import Backend, ReadyBackend
from service.openapi.bodies import ITEMS_BODY
from service.problems import InvalidRequestError, ProblemError, problem_of, responses
from service.requests.known_writes import IdempotencyKey, known_write, new_item
from service.requests.uploads import Form, aligned, attributes_field, multipart
from service.scheduling.embedding_worker import Prepared
from service.scheduling.lines import Priority
from service.scheduling.presence import while_present
from service.scheduling.turns import images_under_way, in_turns
from service.schemas import BulkAnswer, BulkResult, ItemBody

router = APIRouter(tags=["items"])

Failure = ProblemError | UserError


@dataclass(frozen=True)
class _Entry:
    """One image of the request with the fields that belong to it. repeated: its id was there before."""

    position: int
    id: str
    file: UploadFile
    label: str | None
    attributes: str | None
    repeated: bool


@dataclass(frozen=True)
class _Ready:
    """A write that is to be made, but for the vector."""

    write: Write
    image: Prepared


@router.post("/v1/items", openapi_extra=ITEMS_BODY, responses=responses(400, 413, 415, 422, 503, 507))
async def post_items(
    request: Request, backend: ReadyBackend, idempotency_key: IdempotencyKey = None
) -> BulkAnswer:
    """Store many images. The n-th id, label and attributes belong to the n-th image.

    The answer is 200 with a result for each image; those with a status of 200 or 201 are on disk.
    """
    backend.refuse_if_full(Priority.UPLOAD)
    async with multipart(request, backend.settings) as form:
        form.expect_only("image", "id", "label", "attributes")
        entries = _entries(form)
        with backend.places.take(Priority.UPLOAD, images_under_way(len(entries), backend.settings)):
            results = await while_present(request, _stored(entries, idempotency_key, form, backend))
    statuses = [result.status for result in results]
    created, replaced = statuses.count(201), statuses.count(200)
    return BulkAnswer(
        results=results, created=created, replaced=replaced, failed=len(results) - created - replaced
    )


def _entries(form: Form) -> list[_Entry]:
    files = form.uploads()
    ids = form.fields("id")
    if len(ids) != len(files):
        raise InvalidRequestError(f"There are {len(files)} images and {len(ids)} ids; each image needs one.")
    labels = aligned(form.fields("label"), len(files), "label")
    attributes = aligned(form.fields("attributes"), len(files), "attributes")
    seen: set[str] = set()
    entries = []
    for position, (id, file, label, text) in enumerate(zip(ids, files, labels, attributes, strict=True)):
        entries.append(_Entry(position, id, file, label, text, repeated=id in seen))
        seen.add(id)
    return entries


async def _stored(
    entries: Sequence[_Entry], key: str | None, form: Form, backend: Backend
) -> list[BulkResult]:
    """Embed and store, a few images at a time; results in the order of the entries."""

    async def prepare(turn: Sequence[_Entry]) -> list[_Ready | BulkResult]:
        return [await _prepared(entry, key, form, backend) for entry in turn]

    async def store(turn: list[_Ready | BulkResult]) -> list[BulkResult]:
        ready = [each for each in turn if isinstance(each, _Ready)]
        written = iter(await _store(ready, backend) if ready else ())
        return [next(written) if isinstance(each, _Ready) else each for each in turn]

    return await in_turns(entries, prepare, store, size=backend.settings.upload_batch_images)


async def _prepared(entry: _Entry, key: str | None, form: Form, backend: Backend) -> _Ready | BulkResult:
    """What is to be stored, or the result where there is nothing to do or something is wrong."""
    try:
        check_id(entry.id)
        if entry.repeated:
            raise InvalidRequestError(f"The id {entry.id!r} is given twice in this request.")
        attributes = attributes_field(entry.attributes)
        content = await form.content(entry.file)
        write, answer = await known_write(
            backend, content, entry.id, entry.label, attributes, key, entry.position
        )
        if answer is not None:
            return _result(entry.id, answer)
        return _Ready(write, await backend.embedding.prepare(content, Priority.UPLOAD, thumbnail=True))
    except (ProblemError, UserError) as error:
        return _result(entry.id, error)


async def _store(ready: Sequence[_Ready], backend: Backend) -> list[BulkResult]:
    """Embed as one batch, store in one transaction."""
    embedded = await backend.embedding.embed([each.image for each in ready], Priority.UPLOAD)
    items = [
        new_item(each.write, vector, each.image.thumbnail)
        for each, vector in zip(ready, embedded.vectors, strict=True)
    ]
    outcomes = await _upsert_each(items, backend)
    return [_result(item.id, outcome) for item, outcome in zip(items, outcomes, strict=True)]


async def _upsert_each(items: Sequence[NewItem], backend: Backend) -> Sequence[Upserted | Failure]:
    """One transaction for all; where it is refused for one item's sake, one for each."""
    try:
        return await backend.write(backend.collection.upsert, items)
    except InvalidItemError as error:
        if len(items) == 1:
            return [error]
        return [(await _upsert_each([item], backend))[0] for item in items]
    except (ProblemError, UserError) as error:
        return [error] * len(items)


def _result(id: str, outcome: Upserted | Failure) -> BulkResult:
    if isinstance(outcome, Upserted):
        status = 201 if outcome.created else 200
        return BulkResult(id=id, status=status, item=ItemBody.of(outcome.item))
    problem = problem_of(outcome)
    return BulkResult(id=id, status=problem.status, problem=problem)
