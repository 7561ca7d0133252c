"""API keys: what a client sends, and what is kept of it.

A key reads `hdhe_ID_SECRET`. The id is public: it names the key in lists and logs. The secret is 256 random bits, of
which only the SHA-256 is kept. A slow password hash would add nothing, since nobody can guess through 2^256 secrets,
and it would cost every request its time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scope = Literal["read", "write"]
"""write: everything; read: everything that changes nothing."""

PREFIX = "hdhe"
"""Lets scanners for leaked secrets recognise a key."""
_TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_NO_HASH = "0" * 64


class Key(BaseModel):
    """What is kept of a key. rate and burst: its own limits, in images a second and images at once; None: the
    service's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern="^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=100, pattern=r"^[\w.@ -]+$")
    scope: Scope
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created: datetime
    rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)  # JSON has no infinity
    burst: int | None = Field(default=None, ge=1)

    def may(self, scope: Scope) -> bool:
        """Whether this key opens what needs that scope."""
        return self.scope == "write" or scope == "read"


def new_token() -> tuple[str, str, str]:
    """A fresh (id, token, hash of its secret). The token is what the client gets, and is kept nowhere."""
    id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return id, f"{PREFIX}_{id}_{secret}", _hash(secret)


def matching(token: str, keys: dict[str, Key]) -> Key | None:
    """The key, by id, that this token is of. The secrets are compared in constant time, and also where there is no
    key of this id, so that the time of an answer tells nothing.
    """
    parts = _TOKEN.fullmatch(token)
    id, secret = parts.groups() if parts else ("", "")
    key = keys.get(id)
    right = hmac.compare_digest(_hash(secret), _NO_HASH if key is None else key.sha256)
    return key if right and parts else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
