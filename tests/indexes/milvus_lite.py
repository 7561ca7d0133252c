"""Collections in Milvus Lite, in this process and in a folder of the test."""

import importlib.util
from pathlib import Path

import pytest

from indexes.milvus.settings import MilvusSettings
from indexes.milvus_collection import MilvusCollection
from tests.indexes.unit_vectors import FINGERPRINT

needs_milvus_lite = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("pymilvus", "milvus_lite")),
    reason="needs pymilvus and milvus-lite (docs/milvus.md says how to install them beside faiss-gpu)",
)


def settings(folder: Path, **options: object) -> MilvusSettings:
    """Of a collection `items` in the Milvus Lite file of this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return MilvusSettings(uri=str(folder / "milvus.db"), collection="items", **options)  # type: ignore[arg-type]


def create_milvus(folder: Path, *, embedding_size: int, **options: object) -> MilvusCollection:
    return MilvusCollection.create(
        settings(folder, **options), embedding_size=embedding_size, model_fingerprint=FINGERPRINT
    )


def open_milvus(folder: Path) -> MilvusCollection:
    return MilvusCollection.open(settings(folder))
