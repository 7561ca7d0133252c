"""The embedded collection: SQLite rows are the truth, a FAISS index is derived from them.

In the folder: `collection.sqlite` (and SQLite's log beside it while it is open), `index.faiss`, `lock`. An
upsert or a delete returns after its transaction is on the disk, and only then does the index follow, so a
crash at any moment keeps every acknowledged write and the index catches up at the next start. Searches run
beside writes; each answers with items of one moment.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexes.behind_link import behind_link
from indexes.collection import (
    HIT_FIELDS,
    Collection,
    CollectionStats,
    Hit,
    HitField,
)
from indexes.collection_care import CollectionCare
from indexes.collection_reading import CollectionReading
from indexes.collection_schema import check_index_settings
from indexes.collection_snapshot import write_snapshot
from indexes.collection_stats import stats_of, stats_of_files
from indexes.collection_writing import CollectionWriting
from indexes.consistent_search import search
from indexes.derived_index import DerivedIndex
from indexes.durable import sync
from indexes.errors import CollectionError, ForeignModelError, StorageError
from indexes.faiss_build import warn_of_unused_gpu
from indexes.filters import Filter
from indexes.index_file import INDEX_NAME
from indexes.index_kinds import AUTO
from indexes.index_tuning import WANTED_RECALL
from indexes.index_upkeep import IndexUpkeep
from indexes.item_checks import checked_queries
from indexes.item_rows import DATABASE_NAME, ItemRows
from indexes.lock import FolderLock

_MOST_EMBEDDING_SIZE = 1 << 16


class LocalCollection(CollectionWriting, CollectionCare, CollectionReading, Collection):
    """A collection in a folder, for one writing process and any number of reading ones. Made by create or open."""

    def __init__(self, folder: Path, rows: ItemRows, lock: FolderLock | None) -> None:
        super().__init__(rows)
        self._folder = folder
        self._lock = lock
        self._index = DerivedIndex(rows, folder / INDEX_NAME)
        self._upkeep = IndexUpkeep(self._index, str(folder), read_only=not self.writable)
        if self.writable and self._index.unusable is not None:
            self._index.save()
        self._upkeep.look()

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        embedding_size: int,
        model_fingerprint: str,
        index: str = AUTO,
        recall: float = WANTED_RECALL,
        memory: int | None = None,
    ) -> Self:
        """Make an empty collection in a folder and open it for writing.

        index: auto (by size, memory and, from some size on, by measurement) or the name of a kind (`KINDS`). recall:
        what it has to find of what exact search finds. memory: bytes that it may take; None for half of the machine's.
        Raises CollectionError if one is there already, CollectionLockedError, StorageError.
        """
        folder = Path(folder)
        check_index_settings(index, recall, memory)
        if not 0 < embedding_size <= _MOST_EMBEDDING_SIZE:
            raise CollectionError(f"embedding_size must be 1 to {_MOST_EMBEDDING_SIZE}; got {embedding_size}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{folder}: cannot be made ({error.strerror}); choose another folder"
            ) from error
        lock = FolderLock(folder)
        try:
            rows = ItemRows.create(
                folder / DATABASE_NAME,
                embedding_size=embedding_size,
                model_fingerprint=model_fingerprint,
                index=index,
                recall=recall,
                memory=memory,
            )
            (folder / INDEX_NAME).unlink(missing_ok=True)
            sync(folder)
            sync(folder.absolute().parent)
            return cls._opened(folder, rows, lock, model_fingerprint)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(
        cls, folder: Path | str, *, model_fingerprint: str | None = None, read_only: bool = False
    ) -> Self:
        """Open what `create` made. model_fingerprint: of the model that will be used with it; None takes any.

        read_only: beside the process that writes; searches see its writes. Raises CollectionError if there is
        none, CollectionLockedError, ForeignModelError, StorageError.
        """
        folder = behind_link(Path(folder))
        if not (folder / DATABASE_NAME).is_file():
            raise CollectionError(f"{folder}: no collection is there; make one with `hdhe index build`")
        lock = None if read_only else FolderLock(folder)
        try:
            rows = ItemRows(folder / DATABASE_NAME, read_only=read_only)
            return cls._opened(folder, rows, lock, model_fingerprint)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @classmethod
    def _opened(cls, folder: Path, rows: ItemRows, lock: FolderLock | None, model: str | None) -> Self:
        filled_by = rows.settings.model_fingerprint
        warn_of_unused_gpu()
        try:
            if model is not None and model != filled_by:
                raise ForeignModelError(
                    f"{folder}: filled by model {filled_by[:12]}, not {model[:12]}; "
                    "use its own model or build a new collection"
                )
            return cls(folder, rows, lock)
        except BaseException:
            rows.database.close()
            raise

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._folder

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        filter: Filter | None = None,
        *,
        include: AbstractSet[HitField] = HIT_FIELDS,
    ) -> list[list[Hit]]:
        """See Collection. Raises InvalidItemError for queries that are not finite and L2-normalised."""
        queries = checked_queries(vectors, self.embedding_size)
        if k < 1:
            raise CollectionError(f"k must be at least 1; got {k}")
        return search(self._rows, self._index, queries, k, filter, include, follow=not self.writable)

    def stats(self) -> CollectionStats:
        """See Collection. index_recall is what was last measured (see `measure_index`)."""
        index = self._index
        return stats_of(
            self._folder,
            self._rows,
            index_kind=index.kind,
            index_on_gpu=index.on_gpu,
            index_recall=index.recall,
        )

    @staticmethod
    def info(folder: Path | str) -> CollectionStats:
        """The stats of a collection, without loading its index; what they say of the index stands in its file.

        index_kind is `none` where there is no usable index file; the next opening makes one.
        """
        return stats_of_files(Path(folder))

    def snapshot(self, folder: Path | str) -> int:
        """See Collection. The folder must be new or empty; it appears whole or, after a crash, not at all."""
        return write_snapshot(self._rows, self._index.write, Path(folder)).sequence

    def close(self) -> None:
        """See Collection."""
        if not self._upkeep.end():
            return
        try:
            with self._index.changing:
                try:
                    if self.writable:
                        self._index.finish()
                finally:
                    self._rows.database.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    @property
    def writable(self) -> bool:
        """Whether this process is the one that may write."""
        return self._lock is not None
