"""The file of keys: what is in it, who can read it, and what a running service makes of its changes."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexes.errors import UserError
from service.security.key_file import KeyFile, create_key, key_path, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_created_listed_and_revoked(path: Path) -> None:
    shop, token = create_key(path, "shop", "read")
    importer, _ = create_key(path, "importer", "write", rate=2.5, burst=10)
    assert [(key.name, key.scope, key.rate, key.burst) for key in read_keys(path)] == [
        ("shop", "read", None, None),
        ("importer", "write", 2.5, 10),
    ]
    assert token.split("_", 2)[2] not in path.read_text()
    assert revoke_key(path, "shop") == shop
    assert revoke_key(path, importer.id) == importer
    assert read_keys(path) == []
    with pytest.raises(UserError, match="has no key 'shop'"):
        revoke_key(path, "shop")


def test_only_its_owner_can_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        create_key(path, "shop", "read")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_two_commands_at_once_lose_no_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: create_key(path, f"key {number}", "read"), range(16)))
    assert len(read_keys(path)) == 16


def test_what_a_crash_left_is_in_nobodys_way(path: Path) -> None:
    path.with_name("keys.json.new").write_text("half a fi")
    create_key(path, "shop", "read")
    assert [key.name for key in read_keys(path)] == ["shop"]


@pytest.mark.parametrize(
    ("name", "rate", "says"),
    [
        ("shop", None, "already"),
        ("a\nb", None, "--name"),
        ("new", -1.0, "--rate"),
        ("new", math.inf, "--rate"),
    ],
)
def test_a_wrong_key_is_refused_in_one_line(path: Path, name: str, rate: float | None, says: str) -> None:
    create_key(path, "shop", "read")
    with pytest.raises(UserError, match=says) as refused:
        create_key(path, name, "read", rate=rate)
    assert "\n" not in str(refused.value)
    assert len(read_keys(path)) == 1


@pytest.mark.parametrize(
    "content", ["", "[]", "{}x", '{"version": 2, "keys": []}', '{"keys": [{"id": "x"}]}', '{"password": 1}']
)
def test_a_file_that_is_none_is_named(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(UserError, match=r"keys\.json"):
        read_keys(path)
    with pytest.raises(UserError, match=r"keys\.json"):
        KeyFile(path)


def test_where_the_keys_are(tmp_path: Path) -> None:
    assert key_path(tmp_path, None) == tmp_path / "keys.json"
    assert key_path(tmp_path, Path("elsewhere")) == Path("elsewhere")
    with pytest.raises(UserError, match="--collection"):
        key_path(None, None)
    with pytest.raises(UserError, match="is not a folder"):
        key_path(tmp_path / "missing", None)
    with pytest.raises(UserError, match="make the folder first"):
        create_key(tmp_path / "missing" / "keys.json", "shop", "read")


def test_a_running_service_follows_the_file_within_a_second(path: Path) -> None:
    clock = Clock()
    keys = KeyFile(path, clock=clock)
    assert keys.open
    _, token = create_key(path, "shop", "read")
    clock.now = 0.5
    assert keys.open  # it looks once a second
    clock.now = 1.5
    assert not keys.open
    found = keys.find(token)
    assert found is not None
    assert found.name == "shop"
    revoke_key(path, "shop")
    clock.now = 3.0
    assert keys.find(token) is None
    assert not keys.open


def _delete(path: Path) -> None:
    path.unlink()


def _spoil(path: Path) -> None:
    path.write_text("{")


def _empty(path: Path) -> None:
    path.write_text(json.dumps({"version": 1, "keys": []}))


@pytest.mark.parametrize("harm", [_delete, _spoil, _empty])
def test_a_file_that_has_gone_or_is_damaged_lets_nobody_in(path: Path, harm: Callable[[Path], None]) -> None:
    _, token = create_key(path, "shop", "write")
    content = path.read_bytes()
    clock = Clock()
    keys = KeyFile(path, clock=clock)
    assert keys.find(token) is not None
    harm(path)
    clock.now = 2.0
    assert keys.find(token) is None
    assert not keys.open
    path.write_bytes(content)
    clock.now = 4.0
    assert keys.find(token) is not None


def test_a_file_that_gets_its_right_owner_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, token = create_key(path, "shop", "write")
    clock = Clock()
    keys = KeyFile(path, clock=clock)
    with monkeypatch.context() as foreign:

        def refused(_: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        foreign.setattr(Path, "read_bytes", refused)
        content = path.read_text()
        path.unlink()
        path.write_text(content)  # as another user who changes the keys leaves it
        for _ in range(3):
            clock.now += 2.0
            assert keys.find(token) is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    clock.now += 2.0
    assert keys.find(token) is not None


def test_a_file_without_keys_is_not_an_open_door(path: Path) -> None:
    _empty(path)
    assert not KeyFile(path).open
