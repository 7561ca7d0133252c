"""What is served, how much of it, and whether it is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from service.backend import ReadyBackend
from service.problems import responses
from service.schemas import HealthAnswer, ModelAnswer, ModelBody, StatsAnswer

if TYPE_CHECKING:
    from retrieval.embedder import Embedder

router = APIRouter(tags=["status"])


@router.get("/v1/model", responses=responses(503))
async def model(backend: ReadyBackend) -> ModelAnswer:
    """The model that filled the collection and embeds what is put into it, and the one that embeds the queries."""
    gallery = backend.gallery
    queries = None if gallery.query_embedder is None else _described(gallery.query_embedder)
    return ModelAnswer(**_described(gallery.embedder).model_dump(), query_model=queries)


@router.get("/v1/stats", responses=responses(503, 507))
async def stats(backend: ReadyBackend) -> StatsAnswer:
    """Items, labels, the last write, and the index with its recall against exact search."""
    return StatsAnswer.of(await backend.read(backend.collection.stats))


@router.get("/healthz", responses=responses())
async def healthz() -> HealthAnswer:
    """The process is up; it may still be loading."""
    return HealthAnswer(status="ok")


@router.get("/readyz", responses=responses(503))
async def readyz(_: ReadyBackend) -> HealthAnswer:
    """The model and the index are loaded; until then 503."""
    return HealthAnswer(status="ready")


def _described(embedder: Embedder) -> ModelBody:
    bundle = embedder.bundle
    spec = bundle.network.spec
    return ModelBody(
        fingerprint=bundle.fingerprint,
        backbone=spec.backbone,
        heads=len(spec.heads),
        embedding_size=bundle.embedding_size,
        pixels=bundle.preprocessing.pixels,
        mirror=spec.mirror,
        pretraining=bundle.pretraining,
        engine=embedder.engine,
    )
