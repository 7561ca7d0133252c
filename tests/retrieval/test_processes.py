from __future__ import annotations

import pytest

from retrieval.errors import UserError
from retrieval.processes import Place, check_alone, own_place


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def test_alone_without_a_launcher() -> None:
    assert own_place() == Place(0, 1, 0)
    check_alone("hdhe study")


def test_what_a_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert own_place() == Place(9, 16, 1)
    with pytest.raises(
        UserError, match=r"hdhe study runs in one process, not in 16; start it without torchrun"
    ):
        check_alone("hdhe study")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RANK", "first", "RANK must be a whole number.*'first'"),
        ("RANK", "1", "RANK is 1 and WORLD_SIZE 1"),
        ("WORLD_SIZE", "0", "WORLD_SIZE 0"),
        ("WORLD_SIZE", "-2", "WORLD_SIZE must be a whole number"),
    ],
)
def test_nonsense_is_refused(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        own_place()
