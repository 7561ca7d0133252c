"""Copies of a whole gallery, collection and model, and the way back from a copy to a gallery that can be served."""

from __future__ import annotations

import shutil
from pathlib import Path

from indexes import CollectionError, LocalCollection
from indexes.behind_link import behind_link
from indexes.collection_snapshot import copy_files, describe
from indexes.milvus.settings import lives_in_milvus, read_settings
from indexes.milvus_collection import MilvusCollection
from indexes.new_folder import new_folder
from indexes.snapshot_manifest import Manifest, checked_manifest
from retrieval.gallery_folder import MODEL_NAME, check_is_gallery


def snapshot_gallery(folder: Path, target: Path) -> Manifest:
    """Copy a gallery as of one moment into a new folder, while another process may be serving and writing it.

    The copy's items are in its folder, also where the gallery's are in Milvus. The target appears whole or not at all.
    Raises CollectionError, StorageError.
    """
    check_is_gallery(folder)
    folder = behind_link(folder)
    with new_folder(target) as temporary:
        if lives_in_milvus(folder):
            with MilvusCollection.open(read_settings(folder), read_only=True) as collection:
                collection.export_into(temporary)
        else:
            copy_files(folder, temporary)
        shutil.copytree(folder / MODEL_NAME, temporary / MODEL_NAME)
        return describe(temporary)


def restore_gallery(snapshot: Path, target: Path) -> Manifest:
    """Make a gallery in a new folder from a snapshot, once every file has been compared with its checksum.

    The target appears whole or not at all. Raises CollectionError if there is no snapshot or it has no model,
    StorageError if it is damaged.
    """
    manifest = checked_manifest(snapshot)
    if not (snapshot / MODEL_NAME).is_dir():
        raise CollectionError(
            f"{snapshot}: it has no model and so is no snapshot of `hdhe index snapshot`; open it as a collection"
        )
    with new_folder(target) as temporary:
        copy_files(snapshot, temporary)
        shutil.copytree(snapshot / MODEL_NAME, temporary / MODEL_NAME)
        copied = LocalCollection.info(temporary)
        if (copied.sequence, copied.items, copied.model_fingerprint) != (
            manifest.sequence,
            manifest.items,
            manifest.model_fingerprint,
        ):
            raise CollectionError(f"{snapshot}: it does not hold what it says; use another snapshot")
    return manifest
