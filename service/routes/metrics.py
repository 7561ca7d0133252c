"""What Prometheus asks for."""

from __future__ import annotations

from contextlib import nullcontext

from fastapi import APIRouter, Request, Response

from service.backend import Backend
from service.observability.telemetry import Telemetry
from service.problems import responses
from service.security.request_limits import METRICS

router = APIRouter(tags=["status"])


@router.get(
    METRICS,
    response_class=Response,
    responses={
        **responses(503),
        200: {
            "description": "Prometheus' text format, or OpenMetrics for who accepts it.",
            "content": {
                media_type: {"schema": {"type": "string"}}
                for media_type in ("text/plain", "application/openmetrics-text")
            },
        },
    },
)
async def metrics(request: Request) -> Response:
    """Counts and times of the requests, what waits, and the state of the collection; also before it is loaded."""
    telemetry: Telemetry = request.app.state.telemetry
    accept = request.headers.get("accept", "")
    backend: Backend | None = request.app.state.backend
    with nullcontext() if backend is None else backend.used():
        content, media_type = await telemetry.scrape(backend, accept)
    return Response(content, headers={"Content-Type": media_type})
