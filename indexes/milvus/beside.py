"""What is kept beside the items, a row of text under each key; `indexes.milvus.schema` says why it is apart.

A key begins with its kind and goes on with parts that no line break is in, so that no two things share one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from indexes.milvus.connection import Connection, Row
from indexes.milvus.expressions import one_of, text_literal
from indexes.milvus.scan import scan
from indexes.milvus.schema import MOST_TEXT_BYTES, beside_of

Kind = Literal["about", "clock", "label", "name", "recall", "thumbnail"]

_PIECE_BYTES = MOST_TEXT_BYTES // 4 * 3
_REQUEST_BYTES = 16 << 20
_KEYS_A_REQUEST = 500


@dataclass(frozen=True)
class Note:
    """One row. text: of up to MOST_TEXT_BYTES in UTF-8. number: what the rows of a kind can be told apart by."""

    kind: Kind
    parts: tuple[str, ...] = ()
    text: str = ""
    number: int = 0

    @property
    def key(self) -> str:
        """The primary key."""
        return "\n".join((self.kind, *self.parts))


class Beside:
    """Reads and writes them. A read sees every write that was acknowledged before it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._collection = beside_of(connection.settings.collection)

    def put(self, notes: Sequence[Note]) -> None:
        """Insert or replace, in as few requests as Milvus takes."""
        rows: list[Row] = []
        size = 0
        for note in notes:
            if rows and size + len(note.text) > _REQUEST_BYTES:
                self._connection.upsert(self._collection, rows)
                rows, size = [], 0
            rows.append(
                {
                    "key": note.key,
                    "kind": note.kind,
                    "number": note.number,
                    "text": note.text,
                    "nothing": [0.0, 1.0],
                }
            )
            size += len(note.text) + len(note.key) + 100
        if rows:
            self._connection.upsert(self._collection, rows)

    def get(self, notes: Sequence[Note]) -> dict[str, tuple[str, int]]:
        """{key: (text, number)} of those that are there, whatever the notes say beside their key."""
        found: dict[str, tuple[str, int]] = {}
        # A thumbnail of the greatest size is a hundred rows of 64 KiB.
        for start in range(0, len(notes), _KEYS_A_REQUEST):
            keys = one_of("key", (note.key for note in notes[start : start + _KEYS_A_REQUEST]))
            if isinstance(keys, str):
                rows = self._connection.query(self._collection, keys, ["key", "text", "number"], strong=True)
                found |= {row["key"]: (row["text"], int(row["number"])) for row in rows}
        return found

    def present(self, notes: Sequence[Note]) -> set[str]:
        """The keys of those that are there."""
        found: set[str] = set()
        for start in range(0, len(notes), _KEYS_A_REQUEST):
            keys = one_of("key", (note.key for note in notes[start : start + _KEYS_A_REQUEST]))
            if isinstance(keys, str):
                rows = self._connection.query(self._collection, keys, ["key"], strong=True)
                found |= {str(row["key"]) for row in rows}
        return found

    def of_kind(self, kind: Kind) -> Iterator[tuple[str, str, int]]:
        """(key, text, number) of all rows of a kind."""
        pages = scan(
            self._connection,
            self._collection,
            _is(kind),
            ["key", "text", "number"],
            key="key",
            row_bytes=4096,
        )
        return ((row["key"], row["text"], int(row["number"])) for rows in pages for row in rows)

    def count(self, kind: Kind) -> int:
        """How many rows of a kind there are."""
        return self._connection.count(self._collection, _is(kind), strong=True)

    def delete(self, notes: Sequence[Note]) -> None:
        """Those that are there."""
        for start in range(0, len(notes), _KEYS_A_REQUEST):
            keys = one_of("key", (note.key for note in notes[start : start + _KEYS_A_REQUEST]))
            if isinstance(keys, str):
                self._connection.delete(self._collection, keys)

    def delete_before(self, kind: Kind, number: int) -> None:
        """All of a kind whose number is smaller."""
        self._connection.delete(self._collection, f"{_is(kind)} and number < {number}")


def label_note(label: str) -> Note:
    """That items have this label: as many such rows, as many labels."""
    return Note("label", (label,))


def thumbnail_pieces(id: str, sequence: int, image: bytes) -> list[Note]:
    """A thumbnail of the item that this write made."""
    return [
        Note(
            "thumbnail",
            (id, str(sequence), str(piece)),
            base64.b64encode(image[start : start + _PIECE_BYTES]).decode(),
        )
        for piece, start in enumerate(range(0, len(image), _PIECE_BYTES))
    ]


def thumbnail_keys(id: str, sequence: int, pieces: int) -> list[Note]:
    """The same without what is in them."""
    return [Note("thumbnail", (id, str(sequence), str(piece))) for piece in range(pieces)]


def joined_thumbnail(keys: Sequence[Note], found: dict[str, tuple[str, int]]) -> bytes | None:
    """The image, or None if a piece is missing. found: of `Beside.get`."""
    if any(note.key not in found for note in keys):
        return None
    return b"".join(base64.b64decode(found[note.key][0]) for note in keys)


def _is(kind: Kind) -> str:
    return f"kind == {text_literal(kind)}"
