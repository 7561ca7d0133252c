"""Which images a run is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from training.sections.section import Section


class DataSection(Section):
    """Which images. name: a known data set or a folder; root: where a known set lies if not in the usual place."""

    name: Annotated[str, Field(min_length=1)]
    root: Path | None = None
    split: str = "train"
