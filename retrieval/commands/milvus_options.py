"""The options by which the items of a new gallery go to Milvus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from indexes.milvus.settings import MilvusSettings

MilvusOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Keep the items in Milvus: http://HOST:PORT, or NAME.db for Milvus Lite in the collection's folder.",
    ),
]
MilvusSettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--milvus-option",
        metavar="KEY=VALUE",
        help="A setting in Milvus (index=HNSW, build.M=30, replicas=2, ...; docs/milvus.md); may be repeated.",
    ),
]


def milvus_settings(
    uri: str | None, options: list[str] | None, *, folder: Path, for_folders: Mapping[str, bool]
) -> MilvusSettings | None:
    """What the options say, None where the items stay in the folder. Raises CollectionError.

    for_folders: which of the options that make sense only there have been given.
    """
    from indexes import CollectionError
    from indexes.milvus.settings import settings_of

    if uri is None:
        if options:
            raise CollectionError("--milvus-option is nothing without --milvus URI")
        return None
    if given := [name for name, is_given in for_folders.items() if is_given]:
        raise CollectionError(
            f"{given[0]} is for items in a folder; with --milvus the index is named by --milvus-option index=KIND"
        )
    name = re.sub(r"[^A-Za-z0-9_]", "_", folder.resolve().name)
    return settings_of(uri, f"hdhe_{name}"[:200], options or [])


def check_same_place(folder: Path, settings: MilvusSettings) -> None:
    """Raises CollectionError unless the items of this gallery are where the options say."""
    from indexes import CollectionError
    from indexes.milvus.settings import lives_in_milvus, located, read_settings

    if not lives_in_milvus(folder):
        raise CollectionError(
            f"{folder} keeps its items in its own files; leave --milvus out, or name another folder"
        )
    if read_settings(folder) != located(settings, folder):
        raise CollectionError(
            f"{folder} was made with other settings of Milvus; leave --milvus out to add to it"
        )
