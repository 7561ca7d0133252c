"""What a study is: a question, and the recipes whose scores answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Overrides = Mapping[str, Any]
"""Values of a recipe by dotted key: {"network.preset": "hdhe", "images.pixels": 128}."""


@dataclass(frozen=True)
class Row:
    """One row of the table: what differs from the study's base.

    models: with more than one, so many networks of this recipe are trained with seeds of their own, and what is
    scored is the concatenation of their embeddings. The first has the row's seed, so that it is the run of another
    row with the same recipe, if there is one.
    """

    name: str
    overrides: Overrides = field(default_factory=dict)
    models: int = 1


@dataclass(frozen=True)
class Study:
    """One experiment.

    claim: what Ro & Choi's slides or papers say, in our words, with its source. base: what all rows have in common
    beyond the base recipe. memory: whether the table shows what training keeps in memory.
    """

    name: str
    question: str
    claim: str
    rows: tuple[Row, ...]
    base: Overrides = field(default_factory=dict)
    memory: bool = False

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if len(set(names)) != len(names):
            raise ValueError(f"study {self.name} has two rows of one name")
