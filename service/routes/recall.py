"""Recall@K of the collection as it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.backend import ReadyBackend
from service.problems import InvalidRequestError, responses
from service.schemas import RecallAnswer
from service.settings import Settings
from service.uploads import check_k

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

    Computed when first asked for after a write, and kept until the next.
    """
    ks = _ks(k, backend.settings)
    stats = await backend.read(backend.collection.stats)
    live = await backend.recall.report(ks, sequence=stats.sequence)
    scores = live.scores
    return RecallAnswer(
        # null, not 0: without a positive there is no query to take a mean over.
        recall={str(k): scores and scores.recall[min(k, live.queries - 1)] for k in ks},
        map_at_r=scores and scores.map_at_r,
        r_precision=scores and scores.r_precision,
        protocol=PROTOCOL,
        queries=live.queries,
        queries_without_positive=scores.queries_without_positive if scores else live.queries,
        index_recall={str(k): value for k, value in stats.index_recall.items()},
        computed_at=live.computed_at,
        sequence=live.sequence,
    )


def _ks(text: str, settings: Settings) -> list[int]:
    parts = text.split(",")
    if len(parts) > MAX_KS or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise InvalidRequestError(
            f"k is up to {MAX_KS} whole numbers separated by commas; got {text[:80]!r}."
        )
    return sorted({check_k(int(part), settings) for part in parts})
