"""Settings by environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexes.errors import UserError
from service.settings import Settings, settings_from_environment


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDHE_MAX_K", "7")
    monkeypatch.setenv("HDHE_HOST", "0.0.0.0")
    monkeypatch.setenv("HDHE_DATA", "/data")
    settings = settings_from_environment()
    assert (settings.max_k, settings.host, settings.port) == (7, "0.0.0.0", 8000)


@pytest.mark.parametrize(
    ("name", "value"), [("HDHE_MAX_K", "0"), ("HDHE_PORT", "http"), ("HDHE_PORT", "70000")]
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{name}='{value}'"):
        settings_from_environment()


def test_the_reference_lists_every_setting_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    rows = dict(re.findall(r"^\| `(HDHE_\w+)` \| `([^`]+)` \|", text, re.MULTILINE))
    expected = {f"HDHE_{name.upper()}": str(field.default) for name, field in Settings.model_fields.items()}
    assert {name: rows.get(name, "").replace(",", "") for name in expected} == expected
