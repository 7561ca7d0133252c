"""Looking after a collection wherever it is open: here, or in a process that holds it and answers on its socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from indexes.collection_check import CheckReport
from indexes.compaction import Compacted
from indexes.control_socket import NobodyThereError, Task, ask
from indexes.errors import CollectionLockedError
from indexes.local_collection import LocalCollection

T = TypeVar("T")


def tasks_of(collection: LocalCollection) -> dict[str, Task]:
    """What the process that holds a collection does for others."""

    def check() -> dict[str, Any]:
        return asdict(collection.check())

    def rebuild(index: str | None) -> str:
        collection.rebuild(index)
        return collection.stats().index_kind

    def compact() -> dict[str, Any]:
        return asdict(collection.compact())

    return {"check": check, "rebuild": rebuild, "compact": compact}


def check(folder: Path) -> CheckReport:
    """Compare rows and index: the index in memory of the process that holds the collection, otherwise the index file.

    Changes nothing. Raises CollectionError if there is none, StorageError.
    """
    try:
        report = ask(folder, "check")
    except NobodyThereError:
        with LocalCollection.open(folder, read_only=True) as collection:
            return collection.check()
    recall = {int(k): value for k, value in report.pop("index_recall").items()}
    return CheckReport(**report | {"index_recall": recall, "problems": tuple(report["problems"])})


def rebuild(folder: Path, index: str | None = None) -> str:
    """Build the index anew, of another kind where one is named; returns the kind. Raises CollectionError."""

    def here(collection: LocalCollection) -> str:
        collection.rebuild(index)
        return collection.stats().index_kind

    return str(_wherever(folder, here, "rebuild", index=index))


def compact(folder: Path) -> Compacted:
    """Give back what deleted items have left. Raises CollectionError."""
    done = _wherever(folder, lambda collection: asdict(collection.compact()), "compact")
    return Compacted(**done)


def _wherever(folder: Path, here: Callable[[LocalCollection], T], task: str, **arguments: Any) -> Any:
    try:
        with LocalCollection.open(folder) as collection:
            return here(collection)
    except CollectionLockedError as locked:
        try:
            return ask(folder, task, **arguments)
        except NobodyThereError:
            raise locked from None
