"""A collection that lives in Milvus: a server or a cluster, or Milvus Lite in this process.

Milvus is the truth. What it can not do for a collection is done around it (`indexes.milvus`): numbers of writes, exact
answers beside a filter, thumbnails, and an order in which a failed write leaves nothing wrong. Several processes may
have one collection open and write to it; docs/milvus.md says what that, and what Milvus itself, leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexes.collection import (
    HIT_FIELDS,
    Collection,
    CollectionStats,
    Hit,
    HitField,
    Item,
    NewItem,
    Upserted,
    Write,
)
from indexes.collection_check import CheckReport
from indexes.collection_snapshot import describe
from indexes.errors import CollectionError
from indexes.filters import Filter
from indexes.item_checks import check_id, check_write, checked_items, checked_queries
from indexes.milvus.about import About, find, make
from indexes.milvus.beside import Beside
from indexes.milvus.check import find_problems
from indexes.milvus.clock import Clock
from indexes.milvus.connection import Connection
from indexes.milvus.export import write_export
from indexes.milvus.index_state import MEASURED_UP_TO, finish_index, indexed_rows, measure, measured
from indexes.milvus.lite import bytes_of
from indexes.milvus.reading import Reading
from indexes.milvus.schema import drop_collections
from indexes.milvus.searching import search
from indexes.milvus.settings import MilvusSettings
from indexes.milvus.writing import Writing
from indexes.new_folder import new_folder


class MilvusCollection(Collection):
    """Made by create or open."""

    def __init__(self, connection: Connection, about: About, *, read_only: bool) -> None:
        self._connection = connection
        self._about = about
        self._read_only = read_only
        self._changing = Lock()
        self._beside = Beside(connection)
        self._clock = Clock(self._beside)
        self._reading = Reading(connection, self._beside, about.embedding_size)
        self._writing = Writing(connection, self._beside, self._clock)
        recorded = self._clock.read()
        latest = self._reading.last_sequence(recorded)
        self._clock.see(latest)
        if not read_only:
            if latest > recorded:
                # Whoever wrote that was stopped before it could leave its number.
                self._beside.put([self._clock.note(latest)])
            self._clock.tidy(latest)

    @classmethod
    def create(cls, settings: MilvusSettings, *, embedding_size: int, model_fingerprint: str) -> Self:
        """Make an empty collection and open it. Raises CollectionError if one of its name is there already."""
        about = About(embedding_size, model_fingerprint)
        connection = Connection(settings)
        try:
            make(connection, about)
            return cls(connection, about, read_only=False)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def open(
        cls, settings: MilvusSettings, *, model_fingerprint: str | None = None, read_only: bool = False
    ) -> Self:
        """Open what `create` made. model_fingerprint: of the model that will be used with it; None takes any.

        read_only: writes are refused. Raises CollectionError if there is none, ForeignModelError, UnreachableError.
        """
        connection = Connection(settings)
        try:
            return cls(connection, find(connection, model_fingerprint), read_only=read_only)
        except BaseException:
            connection.close()
            raise

    @property
    def embedding_size(self) -> int:
        """D of its vectors."""
        return self._about.embedding_size

    @property
    def model_fingerprint(self) -> str:
        """The model that filled it."""
        return self._about.model_fingerprint

    @property
    def settings(self) -> MilvusSettings:
        """Where and how it is kept."""
        return self._connection.settings

    def upsert(self, items: Sequence[NewItem]) -> list[Upserted]:
        """See Collection. All or none as far as Milvus goes (docs/milvus.md); CollectionError beyond 48 MiB."""
        checked = checked_items(items, self._about.embedding_size)
        if not checked:
            return []
        with self._alone():
            return self._writing.upsert(checked)

    def repeated(self, write: Write) -> Upserted | None:
        """See Collection."""
        check_write(write.id, write.label, write.attributes, write.source)
        with self._alone():
            return self._writing.settle(write)

    def delete(self, ids: Sequence[str]) -> list[bool]:
        """See Collection."""
        if not ids:
            return []
        with self._alone():
            return self._writing.delete(ids)

    def get(self, ids: Sequence[str]) -> list[Item | None]:
        """See Collection."""
        return self._reading.get(ids)

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """See Collection."""
        return self._reading.vectors(ids)

    def thumbnail(self, id: str) -> bytes | None:
        """See Collection."""
        return self._reading.thumbnail(id)

    def page(self, *, after: str | None = None, limit: int = 100, filter: Filter | None = None) -> list[Item]:
        """See Collection."""
        if limit < 1:
            raise CollectionError(f"limit must be at least 1; got {limit}")
        if after is not None:
            check_id(after)
        return self._reading.page(after, limit, filter)

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        filter: Filter | None = None,
        *,
        include: AbstractSet[HitField] = HIT_FIELDS,
    ) -> list[list[Hit]]:
        """See Collection. A filtered search is exact if at most `exact_up_to` items pass, or the index is."""
        queries = checked_queries(vectors, self._about.embedding_size)
        if k < 1:
            raise CollectionError(f"k must be at least 1; got {k}")
        return search(self._connection, queries, k, filter, include)

    def sample(self, count: int) -> NDArray[np.float32]:
        """See Collection. Of more than 16,384 items it is of those that are drawn by lot."""
        return self._reading.sample(count)[1]

    def labelled(self) -> tuple[NDArray[np.float32], list[str], int]:
        """See Collection. Where another process writes meanwhile, it may hold some of what is newer than its number."""
        with self._still():
            sequence = self._clock.read()
            return *self._reading.labelled(), sequence

    def count(self, filter: Filter | None = None) -> int:
        """See Collection."""
        return self._reading.count(filter)

    def stats(self) -> CollectionStats:
        """See Collection. bytes_on_disk: of Milvus Lite's file; of a server's, what the vectors alone take."""
        kind, lite = self.settings.choice, self.settings.lite
        items = self.count()
        size = bytes_of(Path(self.settings.uri)) if lite else 4 * self._about.embedding_size * items
        return CollectionStats(
            items=items,
            labels=self._beside.count("label"),
            sequence=self._clock.read(),
            embedding_size=self._about.embedding_size,
            model_fingerprint=self._about.model_fingerprint,
            index_kind=kind.kind,
            index_on_gpu=kind.known.on_gpu,
            index_recall=measured(self._beside),
            bytes_on_disk=size,
        )

    def optimise(self) -> None:
        """Wait until Milvus has its index over all items; measure it and count the labels anew, up to a million."""
        finish_index(self._connection)
        if self._read_only:
            return
        with self._alone():
            measure(self._connection, self._beside, self._reading)
            if self.count() <= MEASURED_UP_TO:
                self._writing.count_labels_anew(self._reading.labels())

    def check(self) -> CheckReport:
        """Read everything once: vectors, attributes as they are filtered by, thumbnails and labels."""
        with self._still():
            items, problems = find_problems(self._connection, self._beside, self._about.embedding_size)
            return CheckReport(
                items=items,
                indexed=indexed_rows(self._connection),
                sequence=self._clock.read(),
                index_kind=self.settings.index,
                index_recall=measured(self._beside),
                problems=tuple(problems),
            )

    def snapshot(self, folder: Path | str) -> int:
        """See Collection. The copy is a LocalCollection. Writes of this process wait meanwhile."""
        with new_folder(Path(folder)) as temporary:
            sequence = self.export_into(temporary)
            describe(temporary)
        return sequence

    def export_into(self, folder: Path) -> int:
        """The same into an empty folder that is there, without a manifest."""
        with self._changing:
            sequence = self._clock.read()
            write_export(
                folder,
                self._connection,
                self._beside,
                embedding_size=self._about.embedding_size,
                model_fingerprint=self._about.model_fingerprint,
                sequence=sequence,
            )
        return sequence

    def drop(self) -> None:
        """Delete everything, and close."""
        with self._changing:
            drop_collections(self._connection)
            self._connection.close()

    def close(self) -> None:
        """See Collection."""
        with self._changing:
            self._connection.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._read_only:
            raise CollectionError(f"{self.settings.collection} was opened for reading only")
        with self._changing:
            yield

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Writes of this process wait, where Milvus does not read several pages as of one moment."""
        if not self.settings.lite:
            yield
            return
        with self._changing:
            yield
