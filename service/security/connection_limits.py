"""HTTP as the service speaks it: a head of bounded size that arrives in bounded time, and answers that are taken.

Uvicorn begins to count when a head is complete. A connection that never completes one would stay for ever, and with
its quicker parser, which knows no limit of size, take as much memory as its client cares to send; hence the other. It
does not count again once an answer is written, and closing a connection waits for its reader; one that reads nothing
would keep the socket and what is left of the answer.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From the opening of a connection, or the first byte of its next request, to the end of the head."""
HEAD_BYTES = 64 << 10
"""For uvicorn's h11_max_incomplete_event_size. A path of 512 characters of four bytes each, encoded, takes 6 KiB."""
READ_SECONDS = 60.0
"""How long a client may take nothing of an answer. Linux lets more in only when a third of its own buffer is free."""


class ConnectionLimits(H11Protocol):
    """Closes a connection whose head takes too long, and drops one whose answer is not taken."""

    _head_deadline: asyncio.TimerHandle | None = None
    _read_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        """Wait for the first head."""
        super().connection_made(transport)
        # From the first byte that is left over, `pause_writing` is called, and `resume_writing` when none is.
        transport.set_write_buffer_limits(high=0)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head that begins here, or stop waiting if it ends here."""
        if self._head_deadline is None and self._between_requests():
            self._expect_head()
        super().data_received(data)
        if not self._between_requests():
            self._stop_waiting_for_head()

    def pause_writing(self) -> None:
        """Wait for the reader."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """Stop waiting: the reader has taken everything, or has gone."""
        self._stop_waiting_for_reader()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting_for_head()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting_for_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _expect_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._read_deadline = self.loop.call_later(READ_SECONDS, self._drop_unless_less_than, left)

    def _drop_unless_less_than(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._expect_reader()
        else:
            self.transport.abort()

    def _stop_waiting_for_reader(self) -> None:
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
