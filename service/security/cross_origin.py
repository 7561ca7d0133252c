"""Which pages of other sites may use the service: those of HDHE_CORS_ORIGINS, by default none."""

from __future__ import annotations

from typing import TypedDict

from service.settings import Settings


class CrossOrigin(TypedDict):
    """The options of Starlette's CORSMiddleware."""

    allow_origins: tuple[str, ...]
    allow_methods: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    max_age: int


def cross_origin(settings: Settings) -> CrossOrigin:
    """For the origins of the settings. Without cookies: a page sends its key in a header, or sends none."""
    return {
        "allow_origins": settings.origins,
        "allow_methods": ("GET", "POST", "PUT", "DELETE"),
        "allow_headers": (
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-None-Match",
            "X-Request-Id",
        ),
        "expose_headers": ("ETag", "Hdhe-Score", "Retry-After", "X-Request-Id"),
        "max_age": 600,
    }
