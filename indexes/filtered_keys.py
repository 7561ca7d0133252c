"""The keys of the items that pass a filter, remembered until something is written.

A condition on attributes reads those of every item. People search again and again with one filter set, so the last few
answers are kept, each with the number of the write that it is of; any later write makes it worthless.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from indexes.filters import Filter
from indexes.item_rows import ItemRows

Keys = NDArray[np.int64]

_MOST_FILTERS = 16
_MOST_KEYS = 1 << 22
"""All together: 32 MiB."""


class FilteredKeys:
    """Safe for use from many threads."""

    def __init__(self, rows: ItemRows) -> None:
        self._rows = rows
        self._known: OrderedDict[tuple[object, ...], tuple[int, Keys]] = OrderedDict()
        self._lock = Lock()

    def of(self, connection: sqlite3.Connection, filter: Filter) -> Keys:
        """int64[n], ascending, as of what the connection sees."""
        clock = self._rows.sequence(connection)
        # By the compiled condition: to Python, filters on 1 and on true would be equal.
        condition, parameters = filter.sql()
        name = (condition, *parameters)
        with self._lock:
            known = self._known.get(name)
            if known is not None and known[0] == clock:
                self._known.move_to_end(name)
                return known[1]
        keys = self._rows.keys(connection, filter)
        with self._lock:
            self._known[name] = clock, keys
            self._known.move_to_end(name)
            while len(self._known) > _MOST_FILTERS or self._size() > _MOST_KEYS:
                self._known.popitem(last=False)
        return keys

    def _size(self) -> int:
        return sum(len(keys) for _, keys in self._known.values())
