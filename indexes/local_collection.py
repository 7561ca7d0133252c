"""The embedded collection: SQLite rows are the truth, a FAISS index is derived from them.

In the folder: `collection.sqlite` (and SQLite's log beside it while it is open), `index.faiss`, `lock`. An
upsert or a delete returns after its transaction is on the disk, and only then does the index follow, so a
crash at any moment keeps every acknowledged write and the index catches up at the next start. Searches run
beside writes; each answers with items of one moment.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Thread
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Collection, CollectionStats, Hit, Item, NewItem, Upserted
from indexes.collection_check import CheckReport, check
from indexes.collection_snapshot import write_snapshot
from indexes.consistent_search import search
from indexes.derived_index import DerivedIndex, StoppedError
from indexes.durable import sync
from indexes.errors import CollectionError, ForeignModelError, StorageError
from indexes.filters import Filter
from indexes.index_file import INDEX_NAME, IndexFileError, read_index_header
from indexes.index_kinds import AUTO, check_choice
from indexes.item_checks import check_id, checked_items, checked_queries
from indexes.item_rows import DATABASE_NAME, ItemRows, unknown
from indexes.lock import FolderLock

logger = logging.getLogger(__name__)

_MOST_EMBEDDING_SIZE = 1 << 16


class LocalCollection(Collection):
    """A collection in a folder, for one writing process and any number of reading ones. Made by create or open."""

    def __init__(self, folder: Path, rows: ItemRows, lock: FolderLock | None) -> None:
        self._folder = folder
        self._rows = rows
        self._lock = lock
        self._index = DerivedIndex(rows, folder / INDEX_NAME)
        self._upkeep: Thread | None = None
        self._upkeep_lock = Lock()
        self._closed = False
        if self._writable:
            if not self._index.loaded:
                self._index.save()
            self._look_after_index()

    @classmethod
    def create(
        cls, folder: Path | str, *, embedding_size: int, model_fingerprint: str, index: str = AUTO
    ) -> Self:
        """Make an empty collection in a folder and open it for writing.

        index: auto (by size and memory), flat, sq8, hnsw, ivf or ivfpq. Raises CollectionError if one is
        there already, CollectionLockedError, StorageError.
        """
        folder = Path(folder)
        check_choice(index)
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
        folder = Path(folder)
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

    @property
    def embedding_size(self) -> int:
        """D of its vectors."""
        return self._rows.settings.embedding_size

    @property
    def model_fingerprint(self) -> str:
        """The model that filled it."""
        return self._rows.settings.model_fingerprint

    def upsert(self, items: Sequence[NewItem]) -> list[Upserted]:
        """See Collection. Of two items of one id the later stays."""
        checked = checked_items(items, self.embedding_size)
        if not checked:
            return []
        with self._index.changing:
            try:
                written = self._rows.upsert(checked)
            except StorageError:
                self._index.mark_out_of_step()
                raise
            self._index.apply(written, [item.vector for item in checked])
        self._look_after_index()
        return written.upserted

    def delete(self, ids: Sequence[str]) -> list[bool]:
        """See Collection."""
        if not ids:
            return []
        with self._index.changing:
            try:
                found, written = self._rows.delete([id if _is_text(id) else "" for id in ids])
            except StorageError:
                self._index.mark_out_of_step()
                raise
            self._index.apply(written, [])
        self._look_after_index()
        return found

    def get(self, ids: Sequence[str]) -> list[Item | None]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            found = self._rows.by_id(connection, ids)
        return [found.get(id) for id in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            found = self._rows.by_id(connection, ids)
            missing = next((id for id in ids if id not in found), None)
            if missing is not None:
                raise unknown(missing)
            wanted = np.array([found[id].sequence for id in ids], dtype=np.int64)
            keys, vectors = self._rows.vectors(connection, wanted)
        return vectors[np.searchsorted(keys, wanted)]

    def thumbnail(self, id: str) -> bytes | None:
        """See Collection."""
        with self._rows.database.reading() as connection:
            return self._rows.thumbnail(connection, id)

    def page(self, *, after: str | None = None, limit: int = 100, filter: Filter | None = None) -> list[Item]:
        """See Collection."""
        if limit < 1:
            raise CollectionError(f"limit must be at least 1; got {limit}")
        if after is not None:
            check_id(after)
        with self._rows.database.reading() as connection:
            return self._rows.page(connection, after, min(limit, 1 << 31), filter)

    def search(self, vectors: NDArray[np.float32], k: int, filter: Filter | None = None) -> list[list[Hit]]:
        """See Collection. Raises InvalidItemError for queries that are not finite and L2-normalised."""
        queries = checked_queries(vectors, self.embedding_size)
        if k < 1:
            raise CollectionError(f"k must be at least 1; got {k}")
        return search(self._rows, self._index, queries, k, filter, follow=not self._writable)

    def sample(self, count: int) -> NDArray[np.float32]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            keys = self._rows.keys(connection)
            return self._rows.vectors(connection, keys[:: max(1, -(-len(keys) // count))])[1]

    def labelled(self) -> tuple[NDArray[np.float32], list[str], int]:
        """See Collection."""
        with self._rows.database.reading() as connection:
            sequence = self._rows.sequence(connection)
            vectors, labels = self._rows.labelled(connection)
        return vectors, labels, sequence

    def count(self, filter: Filter | None = None) -> int:
        """See Collection."""
        with self._rows.database.reading() as connection:
            return self._rows.count(connection, filter)

    def stats(self) -> CollectionStats:
        """See Collection. index_recall is what was last measured (see `measure_index`)."""
        return _stats(self._folder, self._rows, self._index.kind, self._index.on_gpu, self._index.recall)

    @staticmethod
    def info(folder: Path | str) -> CollectionStats:
        """The stats of a collection, without loading its index; what they say of the index stands in its file.

        index_kind is `none` where there is no usable index file; the next opening makes one.
        """
        folder = Path(folder)
        rows = ItemRows(folder / DATABASE_NAME, read_only=True)
        try:
            header = read_index_header(folder / INDEX_NAME)
            kind, recall = header.kind, header.recall
        except IndexFileError:
            kind, recall = "none", {}
        try:
            return _stats(folder, rows, kind, False, recall)
        finally:
            rows.database.close()

    def measure_index(self) -> dict[int, float]:
        """Measure {k: recall of the index against exact search} now, on a sample; it is stored with the index."""
        return self._index.measure()

    def optimise(self) -> None:
        """Build the index that suits the present items, measure and save it, beside searches and writes.

        Happens by itself as a collection grows; after a bulk load this makes it happen now.
        """
        self._index.renew()
        if self._writable:
            self._index.save()

    def check(self) -> CheckReport:
        """Read everything once and compare: the database with itself, the index with the rows."""
        return check(self._rows, self._index, follow=not self._writable)

    def snapshot(self, folder: Path | str) -> int:
        """See Collection. The folder must be new or empty; it appears whole or, after a crash, not at all."""
        return write_snapshot(self._rows, self._index, Path(folder))

    def close(self) -> None:
        """See Collection."""
        with self._upkeep_lock:
            if self._closed:
                return
            self._closed = True
        self._index.stop()
        if self._upkeep is not None:
            self._upkeep.join()
        try:
            with self._index.changing:
                try:
                    if self._writable:
                        self._index.finish()
                finally:
                    self._rows.database.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    @property
    def _writable(self) -> bool:
        return self._lock is not None

    def _look_after_index(self) -> None:
        """Start what the index needs by now in the background, unless something is under way."""
        if self._index.due is None:
            return
        with self._upkeep_lock:
            if self._closed or (self._upkeep is not None and self._upkeep.is_alive()):
                return
            self._upkeep = Thread(target=self._keep_up, name="collection-upkeep", daemon=True)
            self._upkeep.start()

    def _keep_up(self) -> None:
        try:
            self._index.keep_up()
        except StoppedError:
            pass
        except Exception:
            # The index in use goes on serving; the next write tries again.
            logger.exception("%s: the index could not be renewed", self._folder)


def _stats(
    folder: Path, rows: ItemRows, kind: str, on_gpu: bool, recall: dict[int, float]
) -> CollectionStats:
    with rows.database.reading() as connection:
        items, labels = rows.count(connection), rows.label_count(connection)
        sequence = rows.sequence(connection)
    return CollectionStats(
        items=items,
        labels=labels,
        sequence=sequence,
        embedding_size=rows.settings.embedding_size,
        model_fingerprint=rows.settings.model_fingerprint,
        index_kind=kind,
        index_on_gpu=on_gpu,
        index_recall=recall,
        bytes_on_disk=_bytes(folder),
    )


def _bytes(folder: Path) -> int:
    names = (DATABASE_NAME, f"{DATABASE_NAME}-wal", INDEX_NAME)
    return sum(path.stat().st_size for path in map(folder.joinpath, names) if path.exists())


def _is_text(id: str) -> bool:
    try:
        id.encode()
    except UnicodeEncodeError:
        return False
    return True
