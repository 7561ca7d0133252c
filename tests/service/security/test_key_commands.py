"""`hdhe keys`: as it is typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import hdhe
from service.security.key_file import KeyFile


class Runner:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[object, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["hdhe", "keys", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *self._capsys.readouterr()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    for name in ("HDHE_COLLECTION", "HDHE_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return Runner(monkeypatch, capsys)


def test_create_list_and_revoke(run: Runner, tmp_path: Path) -> None:
    there = ("--collection", str(tmp_path))
    code, out, err = run("create", *there, "--name", "shop", "--scope", "write", "--rate", "2.5")
    assert code == 0
    token = out.strip()
    assert token not in err
    key = KeyFile(tmp_path / "keys.json").find(token)
    assert key is not None
    assert (key.name, key.scope, key.rate) == ("shop", "write", 2.5)

    _, out, _ = run("list", *there, "--json")
    (told,) = json.loads(out)["keys"]
    assert (told["id"], told["name"], told["scope"]) == (key.id, "shop", "write")
    assert key.sha256 not in out
    _, out, _ = run("list", *there)
    assert key.id in out
    assert "shop" in out

    assert run("revoke", *there, "shop")[:2] == (0, f"key {key.id} (shop) is revoked\n")
    assert run("list", *there)[1] == ""
    assert KeyFile(tmp_path / "keys.json").find(token) is None


def test_the_place_may_come_from_the_environment(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HDHE_COLLECTION", str(tmp_path))
    assert run("create", "--name", "one")[0] == 0
    assert (tmp_path / "keys.json").is_file()
    monkeypatch.setenv("HDHE_KEYS", str(tmp_path / "other.json"))
    assert run("create", "--name", "two")[0] == 0
    assert [key["name"] for key in json.loads((tmp_path / "other.json").read_text())["keys"]] == ["two"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "--name", "shop"], "--collection"),
        (["create", "--name", "shop", "--collection", "nowhere"], "nowhere is not a folder"),
        (["create", "--name", "shop", "--keys", "no/where.json"], "make the folder first"),
        (["create", "--name", "<b>", "--collection", "."], "--name"),
        (["create", "--name", "shop", "--collection", ".", "--scope", "admin"], "admin"),
        (["create", "--name", "shop", "--collection", ".", "--rate", "0"], "--rate"),
        (["revoke", "shop", "--collection", "."], "has no key 'shop'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err
    assert not (tmp_path / "keys.json").exists()
