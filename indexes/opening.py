"""The collection of a folder, whichever engine its items are in: files of the folder, or Milvus."""

from __future__ import annotations

from pathlib import Path

from indexes.behind_link import behind_link
from indexes.collection import Collection, CollectionStats
from indexes.errors import CollectionError
from indexes.local_collection import LocalCollection
from indexes.milvus.settings import (
    MilvusSettings,
    lives_in_milvus,
    located,
    read_settings,
    write_settings,
)
from indexes.milvus_collection import MilvusCollection


def open_collection(
    folder: Path, *, model_fingerprint: str | None = None, read_only: bool = False
) -> Collection:
    """Open the collection of a folder; see LocalCollection.open and MilvusCollection.open."""
    folder = behind_link(folder)
    if lives_in_milvus(folder):
        return MilvusCollection.open(
            read_settings(folder), model_fingerprint=model_fingerprint, read_only=read_only
        )
    return LocalCollection.open(folder, model_fingerprint=model_fingerprint, read_only=read_only)


def create_in_milvus(
    folder: Path, settings: MilvusSettings, *, embedding_size: int, model_fingerprint: str
) -> Collection:
    """Make an empty collection in Milvus and write down in a folder where it is. Raises CollectionError."""
    collection = MilvusCollection.create(
        located(settings, folder), embedding_size=embedding_size, model_fingerprint=model_fingerprint
    )
    try:
        write_settings(folder, settings)
    except BaseException:
        collection.drop()
        raise
    return collection


def collection_info(folder: Path) -> CollectionStats:
    """The stats of a folder's collection, as little of which is loaded as its engine allows."""
    folder = behind_link(folder)
    if not lives_in_milvus(folder):
        return LocalCollection.info(folder)
    with open_collection(folder, read_only=True) as collection:
        return collection.stats()


def check_is_in_folder(folder: Path, what: str) -> None:
    """Raises CollectionError if the items of this folder's collection are in Milvus. what: cannot be done with it."""
    if lives_in_milvus(behind_link(folder)):
        raise CollectionError(
            f"{folder}: its items are in Milvus, where {what} is Milvus's own business (docs/milvus.md)"
        )
