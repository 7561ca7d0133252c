"""What the commands that build an index can be told of it."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from retrieval.errors import UserError

KINDS_HELP = "auto, flat, fp16, sq8, hnsw, hnsw-sq8, ivf, ivf-sq8, ivf-rabitq, ivfpq or cagra"
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}

RecallOption = Annotated[
    float | None,
    typer.Option(help="What the index has to find of what exact search finds, 0 to 1. At first 0.99."),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        help="What the index may take: bytes, or like 800M or 16G. At first half of the machine's.",
        metavar="BYTES",
    ),
]


def memory_bytes(text: str | None) -> int | None:
    """8000000, 800M or 16G as bytes (of 1024 each step); None stays None. Raises UserError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise UserError(f"--memory must be a number of bytes, or like 800M or 16G; got {text!r}")
    return int(float(found[1]) * (1 << _UNITS[found[2]]))
