"""What a study is: a question, and the recipes whose scores answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Overrides = Mapping[str, Any]
"""Values of a recipe by dotted key: {"network.preset": "hdhe", "images.pixels": 128}."""

KindName = Literal["fine-tuning", "distillation"]


@dataclass(frozen=True)
class Row:
    """One row of the table: what differs from the study's base.

    models: with more than one, so many networks of this recipe are trained with seeds of their own, and what is
    scored is the concatenation of their embeddings. The first has the row's seed, so that it is the run of another
    row with the same recipe, if there is one. teaches: whether its model is the teacher of other rows; it is then
    trained once, whatever the number of seeds. teacher: the name of the row whose model teaches this one's student.
    published: scores in per cent by name, as the study's source prints them.
    """

    name: str
    overrides: Overrides = field(default_factory=dict)
    models: int = 1
    teaches: bool = False
    teacher: str | None = None
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """One experiment.

    claim: what Ro & Choi's slides or papers say, in our words, with its source. base: what all rows have in common
    beyond the base recipe. file: that recipe, unless the user gives another; None = one that suits the backbone. kind:
    what the recipes are. scores: those that the table shows, where not all. source: where published figures are from.
    note: what a reader must know of how ours are made.
    memory: whether the table shows what training keeps in memory; pairs: whether it shows each row's teacher and
    student.
    """

    name: str
    question: str
    claim: str
    rows: tuple[Row, ...]
    base: Overrides = field(default_factory=dict)
    file: Path | str | None = None
    kind: KindName = "fine-tuning"
    scores: tuple[str, ...] = ()
    source: str = ""
    note: str = ""
    memory: bool = False
    pairs: bool = False

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if len(set(names)) != len(names):
            raise ValueError(f"study {self.name} has two rows of one name")
        taught: set[str] = set()
        for row in self.rows:
            if row.teacher is not None and row.teacher not in taught:
                raise ValueError(
                    f"row {row.name} of study {self.name} stands before its teacher {row.teacher}"
                )
            taught |= {row.name} if row.teaches else set()
