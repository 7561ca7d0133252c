"""Recall@K of the collection as it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.backend import ReadyBackend
from service.problems import InvalidRequestError, responses
from service.requests.uploads import check_k
from service.schemas import RecallAnswer
from service.settings import Settings

router = APIRouter(tags=["recall"])

MAX_KS = 16
PROTOCOL = "leave-one-out"


@router.get("/v1/recall", responses=responses(422, 503, 507))
async def recall(
    backend: ReadyBackend,
    k: Annotated[
        str, Query(description="Values of K, separated by commas.", examples=["1,2,4,8"])
    ] = "1,2,4,8",
) -> RecallAnswer:
    """Recall@K of the labelled items, each queried against all others, and the index's recall against exact search.

    It is computed beside the requests. After a write the last answer is given, with its age, while a new one is
    computed; who asks before there is any waits a little, and may be told to ask again.
    """
    ks = _ks(k, backend.settings)
    stats = await backend.read(backend.collection.stats)
    live = await backend.recall.report(sequence=stats.sequence)
    scores = live.scores
    return RecallAnswer(
        recall={str(k): value for k, value in live.recall(ks).items()},
        map_at_r=scores and scores.map_at_r,
        r_precision=scores and scores.r_precision,
        protocol=PROTOCOL,
        queries=live.queries,
        queries_without_positive=scores.queries_without_positive if scores else live.queries,
        index_recall={str(k): value for k, value in stats.index_recall.items()},
        computed_at=live.computed_at,
        age_seconds=round(live.age_seconds, 3),
        sequence=live.sequence,
        stale=live.sequence != stats.sequence,
    )


def _ks(text: str, settings: Settings) -> list[int]:
    parts = text.split(",")
    if len(parts) > MAX_KS or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise InvalidRequestError(
            f"k is up to {MAX_KS} whole numbers separated by commas; got {text[:80]!r}."
        )
    return sorted({check_k(int(part), settings) for part in parts})
