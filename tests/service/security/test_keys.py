"""What a key is: its form, its hash, and what it opens."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from service.security.keys import Key, Scope, matching, new_token


def key_of(id: str, sha256: str, scope: Scope = "read") -> Key:
    return Key(id=id, name="shop", scope=scope, sha256=sha256, created=datetime.now(UTC))


def test_a_token_matches_the_key_that_it_was_made_with_and_no_other() -> None:
    made = [new_token() for _ in range(20)]
    keys = {id: key_of(id, sha256) for id, _, sha256 in made}
    assert len(keys) == 20
    for id, token, _ in made:
        assert matching(token, keys) is keys[id]
    other_id, other_token, _ = new_token()
    assert matching(other_token, keys) is None
    first, second = made[0], made[1]
    swapped = first[1].replace(first[0], second[0])
    assert matching(swapped, keys) is None
    assert matching(f"hdhe_{other_id}_" + "0" * 43, keys) is None


def test_the_secret_has_256_bits_and_only_its_sha256_is_kept() -> None:
    id, token, sha256 = new_token()
    prefix, written_id, secret = token.split("_", 2)
    assert (prefix, written_id) == ("hdhe", id)
    assert len(secret) == 43  # 32 bytes in base64 without padding
    assert sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in key_of(id, sha256).model_dump_json()


@pytest.mark.parametrize(
    "token", ["", "hdhe", "hdhe__", "Bearer x", "hdhe_" + "0" * 12 + "_", "é" * 60, "a" * 100_000, "\x00"]
)
def test_what_is_no_token_matches_nothing(token: str) -> None:
    # A key whose hash is that of nothing, or that of no key, must not be opened by a token without a secret either.
    nothing = hashlib.sha256(b"").hexdigest()
    keys = {"": key_of("0" * 12, nothing), "0" * 12: key_of("0" * 12, nothing)}
    assert matching(token, keys) is None


@pytest.mark.parametrize(("scope", "reads", "writes"), [("read", True, False), ("write", True, True)])
def test_what_a_scope_opens(scope: Scope, reads: bool, writes: bool) -> None:
    key = key_of("0" * 12, "0" * 64, scope)
    assert (key.may("read"), key.may("write")) == (reads, writes)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101, "<script>"])
def test_a_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(ValidationError):
        Key(id="0" * 12, name=name, scope="read", sha256="0" * 64, created=datetime.now(UTC))
