"""Rows of a collection in the order of their primary keys, a page at a time.

pymilvus has an iterator that does this, but it writes the last key into its next condition without quoting it, and a
key of ours may have quotes in it. As there, all pages of one scan are of one moment where Milvus says what moment the
first was of (a server does, Milvus Lite does not).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from indexes.milvus.connection import Connection, Row
from indexes.milvus.expressions import Expression, all_of, text_literal

_PAGE_BYTES = 8 << 20
_MOST_ROWS = 4096


def scan(
    connection: Connection,
    collection: str,
    condition: Expression,
    fields: Sequence[str],
    *,
    key: str = "id",
    after: str = "",
    limit: int | None = None,
    row_bytes: int = 1024,
) -> Iterator[list[Row]]:
    """Non-empty pages of rows that pass and whose key is behind `after`, at most `limit` rows in all.

    row_bytes: about how long a row is, by which a page is measured. Keys sort by their code points.
    """
    moment, left = 0, limit
    most = max(1, min(_MOST_ROWS, _PAGE_BYTES // row_bytes))
    while left is None or left > 0:
        part = all_of([f"{key} > {text_literal(after)}", condition])
        if not isinstance(part, str):
            return
        asked = most if left is None else min(most, left)
        rows, moment = connection.page(collection, part, fields, asked, moment)
        if not rows:
            return
        # There may be more than were asked for: all those that Milvus is sure of.
        rows.sort(key=lambda row: str(row[key]))
        after = rows[-1][key]
        if left is not None:
            rows = rows[:left]
            left -= len(rows)
        yield rows
