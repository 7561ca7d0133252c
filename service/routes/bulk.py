"""Many items in one request, with a result for each: one bad image does not spoil the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from indexes.collection import NewItem, Upserted
from indexes.errors import InvalidItemError, UserError
from indexes.item_checks import check_id
from service.backend import Backend, ReadyBackend
from service.openapi import ITEMS_BODY
from service.problems import InvalidRequestError, ProblemError, problem_of, responses
from service.routes.embeddings import IMAGES_A_TURN
from service.schemas import BulkAnswer, BulkResult, ItemBody
from service.uploads import Form, aligned, attributes_field, multipart

router = APIRouter(tags=["items"])

Failure = ProblemError | UserError


@dataclass(frozen=True)
class _Entry:
    """One image of the request with the fields that belong to it. repeated: its id was there before."""

    id: str
    file: UploadFile
    label: str | None
    attributes: str | None
    repeated: bool


@router.post("/v1/items", openapi_extra=ITEMS_BODY, responses=responses(400, 413, 415, 422, 503, 507))
async def post_items(request: Request, backend: ReadyBackend) -> BulkAnswer:
    """Store many images. The n-th id, label and attributes belong to the n-th image.

    The answer is 200 with a result for each image; those with a status of 200 or 201 are on disk.
    """
    async with multipart(request, backend.settings) as form:
        form.expect_only("image", "id", "label", "attributes")
        entries = _entries(form)
        results: list[BulkResult] = []
        for start in range(0, len(entries), IMAGES_A_TURN):
            results.extend(await _store(entries[start : start + IMAGES_A_TURN], form, backend))
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
    for id, file, label, text in zip(ids, files, labels, attributes, strict=True):
        entries.append(_Entry(id, file, label, text, repeated=id in seen))
        seen.add(id)
    return entries


async def _store(entries: list[_Entry], form: Form, backend: Backend) -> list[BulkResult]:
    """Embed a few images as one batch and store them; results in the order of the entries."""
    outcomes: dict[int, Upserted | Failure] = {}
    prepared = {}
    for position, entry in enumerate(entries):
        try:
            check_id(entry.id)
            if entry.repeated:
                raise InvalidRequestError(f"The id {entry.id!r} is given twice in this request.")
            attributes = attributes_field(entry.attributes)
            image = await backend.embedding.prepare(await form.content(entry.file), thumbnail=True)
            prepared[position] = (attributes, image)
        except (ProblemError, UserError) as error:
            outcomes[position] = error
    if prepared:
        embedded = await backend.embedding.embed([image for _, image in prepared.values()])
        items = [
            NewItem(entries[position].id, vector, entries[position].label, attributes, image.thumbnail)
            for (position, (attributes, image)), vector in zip(
                prepared.items(), embedded.vectors, strict=True
            )
        ]
        outcomes.update(zip(prepared, await _upsert_each(items, backend), strict=True))
    return [_result(entry.id, outcomes[position]) for position, entry in enumerate(entries)]


async def _upsert_each(items: Sequence[NewItem], backend: Backend) -> Sequence[Upserted | Failure]:
    """One transaction for all; where it is refused for one item's sake, one for each."""
    try:
        return await backend.write(backend.collection.upsert, items)
    except InvalidItemError as error:
        if len(items) == 1:
            return [error]
        return [(await _upsert_each([item], backend))[0] for item in items]
    except UserError as error:
        return [error] * len(items)


def _result(id: str, outcome: Upserted | Failure) -> BulkResult:
    if isinstance(outcome, Upserted):
        status = 201 if outcome.created else 200
        return BulkResult(id=id, status=status, item=ItemBody.of(outcome.item))
    problem = problem_of(outcome)
    return BulkResult(id=id, status=problem.status, problem=problem)
