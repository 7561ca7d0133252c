"""Writes to a collection in Milvus, in an order in which a failure at any point leaves nothing wrong.

An upsert looks at what is there, then writes: pieces of new thumbnails, under keys that no item names yet; the items,
in one request; labels, names of writes and the clock. Last it removes what the replaced items have left. What fails
before the second of these has changed nothing; what fails after it has written the items without acknowledging them,
and writing them again ends the same. The most that a crash leaves behind is a thumbnail that nobody asks for and a
label counted too much.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence

from indexes.collection import Item, NewItem, Upserted, Write
from indexes.errors import CollectionError
from indexes.milvus.beside import Beside, Note, label_note, thumbnail_keys, thumbnail_pieces
from indexes.milvus.clock import Clock
from indexes.milvus.connection import Connection, Row
from indexes.milvus.expressions import holdable, one_of
from indexes.milvus.schema import ITEM_FIELDS, item_of, item_row, items_of, label_of, row_bytes
from indexes.repeated_writes import KEPT_SECONDS, digest, key_is_taken, same_content

logger = logging.getLogger(__name__)

_MOST_REQUEST_BYTES = 48 << 20
"""Milvus takes requests of 64 MiB, and the length of one can only be guessed before it is made."""

_IDS_A_REQUEST = 1000
_FORGET_SECONDS = 3600


class Writing:
    """The caller lets one write at a time in."""

    def __init__(self, connection: Connection, beside: Beside, clock: Clock) -> None:
        self._connection = connection
        self._beside = beside
        self._clock = clock
        self._items = items_of(connection.settings.collection)
        self._labels: set[str] = set()
        """Whose rows have been written; others may be there too."""
        self._forgotten_at = 0.0

    def upsert(self, items: Sequence[NewItem]) -> list[Upserted]:
        """Insert or replace items that have been checked; see Collection. Raises RepeatedKeyError, CollectionError."""
        before = self.present([item.id for item in items])
        names = self._names([write for item in items if (write := item.write) is not None])
        now, made, said = dict(before), dict[str, tuple[NewItem, Row]](), list[Note]()
        answers: list[Upserted] = []
        for item in items:
            write, stored = item.write, now.get(item.id)
            answer = None if write is None else _repeated(write, stored, names)
            if answer is None:
                pieces = len(thumbnail_pieces(item.id, 0, item.thumbnail or b""))
                row = item_row(item, self._clock.take(1), pieces=pieces)
                made[item.id], now[item.id] = (item, row), row
                answer = Upserted(item_of(row), created=stored is None)
            if write is not None and (name := _name(write, answer)) is not None and name.key not in names:
                names[name.key] = (name.text, name.number)
                said.append(name)
            answers.append(answer)
        self._write(made, said, before)
        return answers

    def settle(self, write: Write) -> Upserted | None:
        """The answer to an upsert that need not be made, which its name then stands for; None if it is to be made."""
        names = self._names([write])
        answer = _repeated(write, self.present([write.id]).get(write.id), names)
        if answer is not None and (name := _name(write, answer)) is not None and name.key not in names:
            self._beside.put([name])
        return answer

    def delete(self, ids: Sequence[str]) -> list[bool]:
        """See Collection."""
        there = self.present(ids)
        wanted = one_of("id", there)
        if isinstance(wanted, str):
            self._connection.delete(self._items, wanted)
            last = self._clock.take(len(there)) + len(there) - 1
            self._beside.put([self._clock.note(last)])
            self._clean_up(there.values(), kept=())
        found: list[bool] = []
        for id in ids:
            found.append(there.pop(id, None) is not None)
        return found

    def present(self, ids: Iterable[str]) -> dict[str, Row]:
        """Rows of those ids that are there, as of now, without vectors."""
        fields = (*ITEM_FIELDS, "source", "pieces")
        wanted, rows = holdable(dict.fromkeys(ids)), dict[str, Row]()
        for start in range(0, len(wanted), _IDS_A_REQUEST):
            part = one_of("id", wanted[start : start + _IDS_A_REQUEST])
            if isinstance(part, str):
                found = self._connection.query(self._items, part, fields, strong=True)
                rows |= {row["id"]: row for row in found}
        return rows

    def count_labels_anew(self, labels: set[str]) -> None:
        """Leave a row for each of these labels and for no other."""
        counted = {key.partition("\n")[2] for key, _, _ in self._beside.of_kind("label")}
        self._beside.put([label_note(label) for label in sorted(labels - counted)])
        self._beside.delete([label_note(label) for label in sorted(counted - labels)])
        self._labels = set(labels)

    def _write(self, made: dict[str, tuple[NewItem, Row]], names: list[Note], before: dict[str, Row]) -> None:
        rows = [row for _, row in made.values()]
        size = sum(map(row_bytes, rows))
        if size > _MOST_REQUEST_BYTES:
            raise CollectionError(
                f"{len(rows)} items of {size >> 20} MiB do not fit one request to Milvus, and two are not all "
                "or none; upsert fewer at a time"
            )
        labels = {label for row in rows if (label := label_of(row)) is not None}
        notes = names + [label_note(label) for label in sorted(labels - self._labels)]
        if rows:
            self._beside.put(
                [
                    piece
                    for item, row in made.values()
                    for piece in thumbnail_pieces(item.id, row["sequence"], item.thumbnail or b"")
                ]
            )
            self._connection.upsert(self._items, rows)
            notes.append(self._clock.note(max(row["sequence"] for row in rows)))
        self._beside.put(notes)
        self._labels |= labels
        self._clean_up([before[id] for id in made if id in before], kept=labels)
        if names:
            self._forget_names()

    def _names(self, writes: Sequence[Write]) -> dict[str, tuple[str, int]]:
        keys = [name for write in writes if (name := _name_key(write)) is not None]
        oldest = _now() - KEPT_SECONDS * 1_000_000
        return (
            {key: found for key, found in self._beside.get(keys).items() if found[1] > oldest} if keys else {}
        )

    def _clean_up(self, gone: Iterable[Row], kept: Iterable[str]) -> None:
        gone = list(gone)
        try:
            left = [
                note
                for row in gone
                for note in thumbnail_keys(row["id"], row["sequence"], int(row["pieces"]))
            ]
            self._beside.delete(left)
            labels = {label for row in gone if (label := label_of(row)) is not None} - set(kept)
            unused = [label for label in sorted(labels) if not self._in_use(label)]
            self._labels -= set(unused)
            self._beside.delete([label_note(label) for label in unused])
        except CollectionError as error:
            # The write is done; what it leaves behind is in nobody's way.
            logger.warning("not cleaned up: %s", error)

    def _in_use(self, label: str) -> bool:
        wanted = one_of("label", [label])
        return isinstance(wanted, str) and self._connection.count(self._items, wanted, strong=True) > 0

    def _forget_names(self) -> None:
        if time.monotonic() - self._forgotten_at > _FORGET_SECONDS:
            self._forgotten_at = time.monotonic()
            self._beside.delete_before("name", _now() - KEPT_SECONDS * 1_000_000)


def _repeated(write: Write, stored: Row | None, names: dict[str, tuple[str, int]]) -> Upserted | None:
    """The answer to a write that was made before by its name, or leaves the item as it is."""
    key = _name_key(write)
    if key is not None and key.key in names:
        known = json.loads(names[key.key][0])
        if known["digest"] != digest(write).hex():
            raise key_is_taken(write)
        attributes = json.loads(json.dumps(dict(write.attributes)))
        return Upserted(Item(write.id, write.label, attributes, known["sequence"]), known["created"])
    if stored is None or stored["source"] != write.source.content.hex():
        return None
    item = item_of(stored)
    return Upserted(item, created=False) if same_content(item, write) else None


def _name_key(write: Write) -> Note | None:
    source = write.source
    return None if source.key is None else Note("name", (str(source.position), source.key))


def _name(write: Write, answer: Upserted) -> Note | None:
    key = _name_key(write)
    if key is None:
        return None
    known = {"digest": digest(write).hex(), "sequence": answer.item.sequence, "created": answer.created}
    return Note(key.kind, key.parts, json.dumps(known), _now())


def _now() -> int:
    return int(time.time() * 1_000_000)
