"""What was read of items for their hits, so that those found often are not read from the database each time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock

from indexes.collection import Attributes

_ROOM = 64 << 20
_ROW, _CHARACTER = 512, 10
"""Bytes, about, of a row beside its texts, and at most of one of their characters, attributes once they are parsed."""


@dataclass(frozen=True, slots=True)
class HitRow:
    """What a row says of a hit. characters: of id, label and attributes as JSON."""

    id: str
    label: str | None
    attributes: Attributes
    characters: int


class RememberedRows:
    """Rows by their keys. A row never changes under its key, so none of them is stale; but it may be gone by now.

    Safe for use from many threads.
    """

    def __init__(self, room: int = _ROOM) -> None:
        """room: bytes that they may take, about."""
        self._room = room
        self._adding = Lock()
        # Once half of the room is full, what was not asked for since the last time that it was is forgotten.
        self._recent: dict[int, HitRow] = {}
        self._earlier: dict[int, HitRow] = {}
        self._taken = 0

    def of(self, keys: Iterable[int]) -> dict[int, HitRow]:
        """Those of the keys that are remembered."""
        recent, earlier = self._recent, self._earlier
        found = {key: row for key in keys if (row := recent.get(key) or earlier.get(key)) is not None}
        if earlier:
            self.add({key: row for key, row in found.items() if key not in recent})
        return found

    def add(self, rows: Mapping[int, HitRow]) -> None:
        """Remember them."""
        with self._adding:
            for key, row in rows.items():
                if key in self._recent:
                    continue
                self._recent[key] = row
                self._taken += _ROW + _CHARACTER * row.characters
                if self._taken > self._room // 2:
                    self._earlier, self._recent, self._taken = self._recent, {}, 0
