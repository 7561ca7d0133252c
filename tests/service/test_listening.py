"""The socket of the service."""

from __future__ import annotations

import socket

import pytest

from indexes.errors import UserError
from service.listening import address_of, is_for_others, listen


def test_what_is_answered_in_two_writes_does_not_wait_for_an_acknowledgement_between_them() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_its_address_is_what_a_browser_takes() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert not is_for_others(listening)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_an_address_of_ipv6_stands_in_brackets() -> None:
    with listen("::1", 0) as listening:
        assert address_of(listening) == f"http://[::1]:{listening.getsockname()[1]}"
        assert not is_for_others(listening)


def test_all_addresses_can_be_reached_by_others() -> None:
    with listen("0.0.0.0", 0) as listening:
        assert is_for_others(listening)


def test_a_port_that_is_taken_is_named_once_and_without_numbers_of_errors() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UserError) as caught:
            listen("127.0.0.1", port)
    said = str(caught.value).lower()
    assert said.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert said.endswith("; choose another --host or --port")
    assert said.count(str(port)) == 1
    assert "errno" not in said
