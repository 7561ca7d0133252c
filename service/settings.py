"""What an operator can set, by environment variables that begin with HDHE_."""

from __future__ import annotations

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexes.errors import UserError

MEBIBYTE = 1 << 20


class Settings(BaseSettings):
    """Limits and addresses. HDHE_MAX_K=200 sets `max_k`; other HDHE_ variables are left alone."""

    model_config = SettingsConfigDict(env_prefix="HDHE_", frozen=True)

    host: str = "127.0.0.1"
    """The address to listen on. The default is this machine only: there is no authentication yet."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free port."""
    max_image_bytes: int = Field(default=20 * MEBIBYTE, ge=1)
    """One uploaded image, as sent."""
    max_image_pixels: int = Field(default=50_000_000, ge=1)
    """Width times height, read from the header before anything is decoded."""
    max_request_bytes: int = Field(default=256 * MEBIBYTE, ge=1)
    """The body of a request that carries many images."""
    max_request_images: int = Field(default=256, ge=1)
    """Images in one request."""
    max_k: int = Field(default=1000, ge=1)
    """The most hits that one search may ask for, and the greatest K of Recall@K."""
    decode_threads: int = Field(default=2, ge=1)
    """Images decoded at the same time. Embedding has one thread of its own."""
    search_threads: int = Field(default=4, ge=1)
    """Searches and reads of the collection at the same time. Writes have one thread of their own."""
    shutdown_seconds: int = Field(default=10, ge=0)
    """How long requests in flight may take after SIGTERM before they are cut off."""


def settings_from_environment() -> Settings:
    """The settings of this process. Raises UserError naming the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise UserError(
            f"HDHE_{name}={first['input']!r}: {first['msg']}. Correct the environment variable."
        ) from None
