"""Looking after a collection wherever it is open: here, or in a process that holds it and answers on its socket."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexes.behind_link import behind_link
from indexes.collection_check import CheckReport
from indexes.compaction import Compacted
from indexes.control_socket import NobodyThereError, Task, ask
from indexes.errors import CollectionLockedError
from indexes.local_collection import LocalCollection
from indexes.milvus.settings import lives_in_milvus, read_settings
from indexes.milvus_collection import MilvusCollection
from indexes.opening import check_is_in_folder


def tasks_of(collection: LocalCollection) -> dict[str, Task]:
    """What the process that holds a collection does for itself and for others."""

    def check() -> dict[str, Any]:
        return asdict(collection.check())

    def rebuild(index: str | None, recall: float | None = None, memory: int | None = None) -> str:
        collection.ask_of_index(index, recall=recall, memory=memory)
        collection.rebuild()
        return collection.stats().index_kind

    def compact() -> dict[str, Any]:
        return asdict(collection.compact())

    return {"check": check, "rebuild": rebuild, "compact": compact}


def check(folder: Path) -> CheckReport:
    """Compare rows and index: the index in memory of the process that holds the collection, otherwise the index file.

    Of a collection in Milvus, what `MilvusCollection.check` compares. Changes nothing. Raises CollectionError if there
    is none, StorageError.
    """
    if lives_in_milvus(behind_link(folder)):
        with MilvusCollection.open(read_settings(behind_link(folder)), read_only=True) as in_milvus:
            return in_milvus.check()
    try:
        report = ask(folder, "check")
    except NobodyThereError:
        with LocalCollection.open(folder, read_only=True) as collection:
            return collection.check()
    recall = {int(k): value for k, value in report.pop("index_recall").items()}
    return CheckReport(**report | {"index_recall": recall, "problems": tuple(report["problems"])})


def rebuild(
    folder: Path, index: str | None = None, *, recall: float | None = None, memory: int | None = None
) -> str:
    """Build the index anew, as is asked (`LocalCollection.ask_of_index`); returns the kind. Raises CollectionError."""
    return str(_wherever(folder, "rebuild", index=index, recall=recall, memory=memory))


def compact(folder: Path) -> Compacted:
    """Give back what deleted items have left. Raises CollectionError."""
    return Compacted(**_wherever(folder, "compact"))


def _wherever(folder: Path, task: str, **arguments: Any) -> Any:
    check_is_in_folder(folder, task)
    try:
        with LocalCollection.open(folder) as collection:
            return tasks_of(collection)[task](**arguments)
    except CollectionLockedError as locked:
        try:
            return ask(folder, task, **arguments)
        except NobodyThereError:
            raise locked from None
