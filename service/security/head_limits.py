"""HTTP as the service speaks it: a head of bounded size that arrives in bounded time.

Uvicorn begins to count when a head is complete. A connection that never completes one would stay for ever, and with
its quicker parser, which knows no limit of size, take as much memory as its client cares to send; hence the other.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From the opening of a connection, or the first byte of its next request, to the end of the head."""
HEAD_BYTES = 64 << 10
"""For uvicorn's h11_max_incomplete_event_size. A path of 512 characters of four bytes each, encoded, takes 6 KiB."""


class HeadLimits(H11Protocol):
    """Closes a connection whose head takes too long."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        """Wait for the first head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head that begins here, or stop waiting if it ends here."""
        if self._deadline is None and self._between_requests():
            self._expect_head()
        super().data_received(data)
        if not self._between_requests():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
