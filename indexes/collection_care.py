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

    def ask_of_index(
        self, index: str | None = None, *, recall: float | None = None, memory: int | None = None
    ) -> None:
        """Say what the index is to be from now on (see `create`); None leaves what was said before.

        `optimise` and `rebuild` heed it. Raises CollectionError, StorageError.
        """
        settings = self._rows.settings
        changed = replace(
            settings,
            index=settings.index if index is None else index,
            recall=settings.recall if recall is None else recall,
            memory=settings.memory if memory is None else memory,
            # To name `auto`, or anything else, is to ask anew.
            trial=settings.trial if index is None else None,
        )
        check_index_settings(changed.index, changed.recall, changed.memory)
        if changed != settings:
            with self._index.changing:
                self._rows.change_settings(changed)

    def optimise(self) -> None:
        """Bring the index to what suits the present items, measure and save it, beside searches and writes.

        It is built anew where it is of another kind, or made for much fewer or more items. Happens by itself as a
        collection grows, but for one thing: with the kind `auto`, and from some size on, the candidates are built and
        measured here, unless that was done at about this size. Raises CollectionError if nothing fits the memory.
        """
        if self.will_measure or not self._index.suits:
            self.rebuild()
        else:
            self._index.measure()
            if self.writable:
                self._index.save()

    def rebuild(self) -> None:
        """Build the index anew from the rows and put it in the place of the old one, which answers until then.

        It is of the kind that suits the present items, as of `optimise`. Raises CollectionError, StorageError.
        """
        self._index.renew(trial=self.will_measure)
        if self.writable:
            self._index.save()

    @property
    def will_measure(self) -> bool:
        """Whether `optimise` or `rebuild` would now build and measure candidates, which takes minutes."""
        return self.writable and self._index.choice.wants_trial(len(self._index))

    def compact(self) -> Compacted:
        """Give back what deleted and replaced items have left. Searches go on, writes wait. Raises StorageError."""
        return compact(self._folder, self._rows, self._index)

    def check(self) -> CheckReport:
        """Read everything once and compare: the database with itself, the index with the rows."""
        return check(self._rows, self._index, follow=not self.writable)
