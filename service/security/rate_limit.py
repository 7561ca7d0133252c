"""Token buckets: how many images a client may send, in the long run and at once.

A bucket holds up to `burst` tokens and gains `rate` a second. A request costs one token an image, and at least one. It
is let in while the bucket holds a whole token, and what it turns out to cost beyond that, once its images are
counted, is owed: the bucket goes below zero, and the next request waits until it is paid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from service.security.keys import Key

_STATE = "hdhe.bucket"


@dataclass
class TokenBucket:
    """rate: tokens a second. burst: the most it holds, and what it holds at first."""

    rate: float
    burst: float
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._tokens = self.burst
        self._filled = self.clock()

    def take(self) -> float:
        """Take one token; 0, or the seconds to wait where there is none."""
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0

    def owe(self, tokens: int) -> None:
        """Charge what a request costs beyond its first token."""
        self._tokens -= tokens


class RateLimits:
    """A bucket for each key. rate, burst: of the keys that have no limits of their own."""

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: dict[str, TokenBucket] = {}

    def bucket(self, key: Key) -> TokenBucket:
        """The bucket of a key. As many are kept as there have been keys since the start."""
        bucket = self._buckets.get(key.id)
        if bucket is None:
            bucket = TokenBucket(key.rate or self._rate, key.burst or self._burst, self._clock)
            self._buckets[key.id] = bucket
        return bucket


def enter(scope: Scope, bucket: TokenBucket) -> None:
    """Remember the bucket that pays for this request."""
    scope.setdefault("state", {})[_STATE] = bucket


def charge_images(scope: Scope, images: int) -> None:
    """Charge a request for its images, the first of which was paid on entering. Nothing where no key was needed."""
    bucket: TokenBucket | None = scope.get("state", {}).get(_STATE)
    if bucket is not None:
        bucket.owe(max(images - 1, 0))
