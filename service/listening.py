"""The socket that the service listens on, and who may reach it."""

from __future__ import annotations

import ipaddress
import socket

from indexes.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises UserError if there is none to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        # Python adds the address to the system's words.
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while ")[0]
        raise UserError(
            f"cannot listen on {host}:{port}: {reason[:1].lower()}{reason[1:]}; choose another --host or --port"
        ) from None
    # Connections inherit it. asyncio sets it only where a socket names its protocol, which this one does not; without
    # it the body of an answer waits until the client's system acknowledges the head: 40 ms on Linux.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address_of(listening: socket.socket) -> str:
    """As a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_for_others(listening: socket.socket) -> bool:
    """Whether other machines can reach it."""
    return not ipaddress.ip_address(listening.getsockname()[0]).is_loopback
