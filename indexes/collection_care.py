"""The third of an embedded collection that looks after its index and its disk, beside searches and writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from indexes.collection_check import CheckReport, check
from indexes.collection_schema import check_index_settings
from indexes.compaction import Compacted, compact
from indexes.derived_index import DerivedIndex
from indexes.index_trial import Trial
from indexes.item_rows import ItemRows


class CollectionCare:
    """What `hdhe index` does with a collection that is open."""

    _folder: Path
    _rows: ItemRows
    _index: DerivedIndex

    @property
    def writable(self) -> bool:
        """Whether this process is the one that may write."""
        raise NotImplementedError

    def measure_index(self) -> dict[int, float]:
        """Measure {k: recall of the index against exact search} now, on a sample; it is stored with the index."""
        return self._index.measure()

    def index_trial(self) -> Trial | None:
        """What was measured to choose the kind of index, if that was done."""
        return self._index.choice.trial

    def optimise(self) -> None:
        """Build the index that suits the present items, measure and save it, beside searches and writes.

        Happens by itself as a collection grows, but for one thing: with the kind `auto`, and from some size on, the
        candidates are built and measured here, unless that was done at about this size. Raises CollectionError if
        nothing fits the memory.
        """
        self._index.renew(trial=self.writable and self._index.choice.wants_trial(len(self._index)))
        if self.writable:
            self._index.save()

    def rebuild(
        self, index: str | None = None, *, recall: float | None = None, memory: int | None = None
    ) -> None:
        """Build the index anew from the rows and put it in the place of the old one, which answers until then.

        index, recall, memory: from now on so (see `create`); None leaves what was said before. Raises CollectionError,
        StorageError.
        """
        settings = self._rows.settings
        changed = replace(
            settings,
            index=settings.index if index is None else index,
            recall=settings.recall if recall is None else recall,
            memory=settings.memory if memory is None else memory,
            trial=None if index is not None else settings.trial,
        )
        check_index_settings(changed.index, changed.recall, changed.memory)
        if changed != settings:
            with self._index.changing:
                self._rows.change_settings(changed)
        self.optimise()

    def compact(self) -> Compacted:
        """Give back what deleted and replaced items have left. Searches go on, writes wait. Raises StorageError."""
        return compact(self._folder, self._rows, self._index)

    def check(self) -> CheckReport:
        """Read everything once and compare: the database with itself, the index with the rows."""
        return check(self._rows, self._index, follow=not self.writable)
