"""Who may do what: a key for everything but the page's own files and the two health checks.

Without a file of keys the service is open to this machine, and then a web page somewhere must not use the browser of
whoever sits at it: only requests addressed to this machine by name are answered, and none that another site's page
has sent. With keys neither is needed, because no browser adds a key by itself.
"""

from __future__ import annotations

import ipaddress
import math
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import ProblemError, problem_response
from service.security.key_file import KeyFile
from service.security.keys import Scope as KeyScope
from service.security.rate_limit import RateLimits, enter
from service.settings import Settings

PUBLIC = frozenset({"/", "/healthz", "/readyz"})
PUBLIC_FILES = "/web/"
READING_POSTS = frozenset({"/v1/search", "/v1/embeddings", "/v1/explanations"})
"""These send a body and change nothing."""


class Access:
    """ASGI middleware: lets a request in, or answers 401, 403 or 429."""

    def __init__(self, app: ASGIApp, keys: KeyFile, settings: Settings) -> None:
        self._app = app
        self._keys = keys
        self._limits = RateLimits(settings.key_rate, settings.key_burst)
        self._origins = frozenset(settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] == "http" and not is_public(scope["path"]):
            try:
                if self._keys.open:
                    check_local(Headers(scope=scope), self._origins)
                else:
                    self._check_key(scope)
            except ProblemError as error:
                await problem_response(error.problem, error.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check_key(self, scope: Scope) -> None:
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise _unauthorized("Send a key in the header Authorization: Bearer KEY.", "")
        key = self._keys.find(token.strip())
        if key is None:
            raise _unauthorized("This key is not known, or no longer.", ', error="invalid_token"')
        scope.setdefault("state", {})["key"] = key.id
        if not key.may(needed(scope["method"], scope["path"])):
            detail = "This key may only read; what you ask for needs one of the scope write."
            raise ProblemError(403, "forbidden", "The key does not allow this", detail)
        bucket = self._limits.bucket(key)
        wait = bucket.take()
        if wait:
            seconds = max(1, math.ceil(wait))
            raise ProblemError(
                429,
                "rate-limited",
                "Too many requests",
                f"This key may send {bucket.rate:g} images or requests a second; try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )
        enter(scope, bucket)


def is_public(path: str) -> bool:
    """Whether nobody needs a key for this path."""
    return path in PUBLIC or path.startswith(PUBLIC_FILES)


def needed(method: str, path: str) -> KeyScope:
    """The scope that a request needs: write, unless it is known to change nothing."""
    reads = method in ("GET", "HEAD") or (method == "POST" and path in READING_POSTS)
    return "read" if reads else "write"


def check_local(headers: Headers, origins: frozenset[str]) -> None:
    """Refuse what did not come from this machine's own page or a program. Raises ProblemError.

    A name in Host that is not this machine's is an attack by DNS (a site that resolves to 127.0.0.1); an Origin or a
    Sec-Fetch-Site of elsewhere is another site's page.
    """
    host = headers.get("host", "")
    if not is_loopback(_split(f"//{host}").hostname or ""):
        raise _forbidden("Without keys this service answers only to localhost and 127.0.0.1.")
    origin = headers.get("origin")
    if origin is None:
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise _forbidden("Without keys this service answers no other site's page.")
    elif origin not in origins and _split(origin).netloc != host:
        raise _forbidden("Without keys this service answers no other site's page; see HDHE_CORS_ORIGINS.")


def is_loopback(host: str) -> bool:
    """Whether this name or address always means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _unauthorized(detail: str, error: str) -> ProblemError:
    challenge = {"WWW-Authenticate": f'Bearer realm="hdhe"{error}'}
    return ProblemError(401, "unauthorized", "A key is needed", detail, headers=challenge)


def _forbidden(detail: str) -> ProblemError:
    return ProblemError(403, "forbidden", "This is not answered", detail)
