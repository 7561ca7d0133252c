"""What an operator can set, by environment variables that begin with HDHE_."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexes.errors import UserError

MEBIBYTE = 1 << 20

# What a browser sends: lower case, no path, no slash at the end.
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


class Settings(BaseSettings):
    """Limits and addresses. HDHE_MAX_K=200 sets `max_k`; other HDHE_ variables are left alone."""

    model_config = SettingsConfigDict(env_prefix="HDHE_", frozen=True)

    host: str = "127.0.0.1"
    """The address to listen on. Without keys only this machine's own is taken."""
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
    batch_images: int = Field(default=16, ge=1)
    """Images of searches that go through the network together."""
    upload_batch_images: int = Field(default=8, ge=1)
    """Images of uploads that go through the network together, which is as long as a search waits for them."""
    batch_delay_ms: float = Field(default=5, ge=0)
    """How long the free network waits for images that are still being decoded."""
    max_waiting_searches: int = Field(default=64, ge=1)
    """Images of searches that are accepted and not yet answered; one more is answered with 503."""
    max_waiting_uploads: int = Field(default=64, ge=1)
    """The same for uploads. A request with many images counts for those it has under way."""
    max_waiting_calls: int = Field(default=256, ge=1)
    """Reads of the collection, and as many writes, that wait for their thread; one more is answered with 503."""
    search_threads: int = Field(default=4, ge=1)
    """Searches and reads of the collection at the same time. Writes have one thread of their own."""
    shutdown_seconds: int = Field(default=10, ge=0)
    """How long requests in flight may take after SIGTERM before they are cut off."""
    max_requests: int = Field(default=256, ge=1)
    """Requests in work, from the head to the last byte of the answer; one more is answered with 503."""
    request_seconds: float = Field(default=30, gt=0)
    """How long a request may take, from its head to the last byte of its answer."""
    bulk_seconds: float = Field(default=600, gt=0)
    """The same for a request that may carry many images."""
    key_rate: float = Field(default=50, gt=0)
    """Images, or requests without one, that a key may send a second, if it has no limit of its own."""
    key_burst: int = Field(default=500, ge=1)
    """What a key may send at once after a pause."""
    cors_origins: str = ""
    """Origins whose pages may use the service, separated by commas; empty: none but its own page."""
    log_format: Literal["text", "json"] = "text"
    """One line an event on stdout, for people or for programs."""

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return tuple(origin for part in self.cors_origins.split(",") if (origin := part.strip()))

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        for origin in text.split(","):
            if origin.strip() and not _ORIGIN.fullmatch(origin.strip()):
                raise ValueError(
                    f"{origin.strip()!r} is not an origin such as https://shop.example or http://localhost:3000"
                )
        return text


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
