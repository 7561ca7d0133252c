"""The table of methods and what is written about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.distillation.methods.table import METHODS

PAGE = (Path(__file__).parents[4] / "docs" / "distillation.md").read_text().partition("## Stages")[0]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_described_with_its_weight(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    weights = {float(cell) for cell in re.findall(r"(?<=\| )[0-9.]+(?= \|)", row)}
    assert METHODS[name].weight in weights
    assert re.search(r"[12][09]\d\d", row), "no source"


def test_nothing_is_described_that_is_not_there() -> None:
    named = re.findall(r"^\| `([a-z_]+)` \|", PAGE, flags=re.M)
    assert set(named) == set(METHODS)


def test_sources_and_names_are_single() -> None:
    assert all(row.source for row in METHODS.values())
    assert all(name == row.name for name, row in METHODS.items())
