"""What is served, how much of it, and whether it is up."""

from __future__ import annotations

from fastapi import APIRouter

from service.backend import ReadyBackend
from service.problems import responses
from service.schemas import HealthAnswer, ModelAnswer, StatsAnswer

router = APIRouter(tags=["status"])


@router.get("/v1/model", responses=responses(503))
async def model(backend: ReadyBackend) -> ModelAnswer:
    """The model that embeds the queries and filled the collection."""
    bundle = backend.gallery.embedder.bundle
    spec = bundle.network.spec
    return ModelAnswer(
        fingerprint=bundle.fingerprint,
        backbone=spec.backbone,
        heads=len(spec.heads),
        embedding_size=bundle.embedding_size,
        pixels=bundle.preprocessing.pixels,
        mirror=spec.mirror,
        pretraining=bundle.pretraining,
    )


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
