"""The part of an embedded collection that writes: rows first, and then the index follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from indexes.collection import NewItem, Upserted, Write
from indexes.derived_index import DerivedIndex
from indexes.errors import CollectionReplacedError, StorageError
from indexes.index_upkeep import IndexUpkeep
from indexes.item_checks import check_write, checked_items
from indexes.item_rows import ItemRows
from indexes.repeated_writes import find as find_repeated


class CollectionWriting:
    """A write returns after its transaction is on the disk. One at a time; the others wait."""

    _folder: Path
    _rows: ItemRows
    _index: DerivedIndex
    _upkeep: IndexUpkeep
    _replaced = False

    def upsert(self, items: Sequence[NewItem]) -> list[Upserted]:
        """See Collection. Of two items of one id the later stays."""
        checked = checked_items(items, self._rows.settings.embedding_size)
        if not checked:
            return []
        with self._writing():
            written = self._rows.upsert(checked)
            self._index.apply(written, written.vectors)
        self._upkeep.look()
        return written.upserted

    def repeated(self, write: Write) -> Upserted | None:
        """See Collection."""
        check_write(write.id, write.label, write.attributes, write.source)
        with self._rows.database.reading() as connection:
            known = find_repeated(connection, write)
        if known is None or known.named or write.source.key is None:
            return None if known is None else known.answer
        # Its name is to be remembered, and meanwhile the item may have changed.
        with self._writing():
            return self._rows.settle(write)

    def delete(self, ids: Sequence[str]) -> list[bool]:
        """See Collection."""
        if not ids:
            return []
        with self._writing():
            found, written = self._rows.delete([id if _is_text(id) else "" for id in ids])
            self._index.apply(written, [])
        self._upkeep.look()
        return found

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Writes wait while another collection takes this one's place.

        Once the block has ended well, every write to this one, also those that waited, raises
        CollectionReplacedError: it would be lost. If the block raises, they go on.
        """
        with self._index.changing:
            yield
            self._replaced = True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone, for one write to rows and index."""
        with self._index.changing:
            if self._replaced:
                raise CollectionReplacedError(
                    f"{self._folder}: another collection has taken its place; write to that one"
                )
            try:
                yield
            except StorageError:
                self._index.mark_out_of_step()
                raise


def _is_text(id: str) -> bool:
    try:
        id.encode()
    except UnicodeEncodeError:
        return False
    return True
