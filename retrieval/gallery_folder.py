"""How the folder of a gallery is told from any other, without loading what a gallery is made of."""

from __future__ import annotations

from pathlib import Path

from indexes.errors import CollectionError

MODEL_NAME = "model"
"""The model's bundle, in a gallery's folder."""


def check_is_gallery(folder: Path) -> None:
    """Raises CollectionError where there is none."""
    if not (folder / MODEL_NAME).is_dir():
        raise CollectionError(
            f"{folder} is not a collection; make one with "
            f"`hdhe index build --model BUNDLE --images DIR --collection {folder}`"
        )
