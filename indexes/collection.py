"""The contract between a vector engine and everything above it.

A collection holds items: an id, a vector, and optionally a label, attributes and a thumbnail. Vectors are
`float32[d]`, L2-normalised by whoever made them; the score of a hit is the inner product, which is then the
cosine. `LocalCollection` (SQLite and FAISS) and `MilvusCollection` are its two implementations, and one
parametrised test suite holds both to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from indexes.filters import Filter

Scalar = str | int | float | bool | None
Attributes = Mapping[str, Scalar]
"""Flat: attribute name to a string, number, boolean or null."""

MAX_ID_LENGTH = 512
"""Characters. An id is any non-empty text without control characters; slashes are allowed."""

MAX_LABEL_LENGTH = 512
"""Characters of a label or of an attribute's name."""

MAX_ATTRIBUTES_BYTES = 16 << 10
"""All attributes of an item, as JSON in UTF-8."""

MAX_THUMBNAIL_BYTES = 4 << 20

NORM_TOLERANCE = 1e-3
"""How far the length of a vector may be from 1. Half-precision models come within 1e-3."""


MAX_DIGEST_BYTES = 64
MAX_KEY_LENGTH = 255

HitField = Literal["label", "attributes"]
HIT_FIELDS: frozenset[HitField] = frozenset(("label", "attributes"))
"""What a hit can say of its item."""


@dataclass(frozen=True)
class Source:
    """What a write was made from, by which the same write is known again.

    content: a digest of the image file, 1 to MAX_DIGEST_BYTES. key: the client's own name for the write, or for
    several that position tells apart; None: it has none.
    """

    content: bytes
    key: str | None = None
    position: int = 0


@dataclass(frozen=True)
class Write:
    """What an upsert asks for, but for what is made of its source: the vector and the thumbnail."""

    id: str
    label: str | None
    attributes: Attributes
    source: Source


@dataclass(frozen=True, eq=False)
class NewItem:
    """What an upsert takes. vector: float32[d], L2-normalised, finite. thumbnail: an encoded image (JPEG) or None.

    source: where it is given, a write that was made before or changes nothing is not made again.
    """

    id: str
    vector: NDArray[np.float32]
    label: str | None = None
    attributes: Attributes = field(default_factory=dict)
    thumbnail: bytes | None = None
    source: Source | None = None

    @property
    def write(self) -> Write | None:
        """By what this upsert can be known again, if it has a source."""
        if self.source is None:
            return None
        return Write(self.id, self.label, self.attributes, self.source)


@dataclass(frozen=True)
class Item:
    """What the collection holds of one item. sequence: the number of the write that last changed it."""

    id: str
    label: str | None
    attributes: Attributes
    sequence: int


@dataclass(frozen=True)
class Upserted:
    """The answer to one upsert. created: False if an item of this id was there.

    The answer to an upsert that was made before, by its name, is the same as then.
    """

    item: Item
    created: bool


@dataclass(slots=True)
class Hit:
    """One neighbour. score: inner product with the query, the cosine for normalised vectors.

    label, attributes: None and empty where the search did not ask for them. Not frozen, which would be the most
    expensive of all that a search does for a hit.
    """

    id: str
    score: float
    label: str | None
    attributes: Attributes


@dataclass(frozen=True)
class CollectionStats:
    """A collection at one moment. index_recall: {k: recall of the index against exact search, on a sample}."""

    items: int
    labels: int
    sequence: int
    embedding_size: int
    model_fingerprint: str
    index_kind: str
    index_on_gpu: bool
    index_recall: Mapping[int, float]
    bytes_on_disk: int


class Collection(ABC):
    """A set of items that can be written, searched, counted and copied. Safe for use from many threads."""

    @abstractmethod
    def upsert(self, items: Sequence[NewItem]) -> list[Upserted]:
        """Insert or replace, all or none; when it returns, the items are on disk. Raises InvalidItemError."""

    def repeated(self, write: Write) -> Upserted | None:
        """The answer to an upsert that was made before (by its name) or would change nothing (by its content).

        None if it is to be made; an engine that remembers no sources makes every upsert. It may write, to remember
        the name. Raises RepeatedKeyError if its name is that of another write, InvalidItemError.
        """
        return None

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> list[bool]:
        """Delete by id; for each id, whether it was there. When it returns, the deletion is on disk."""

    @abstractmethod
    def get(self, ids: Sequence[str]) -> list[Item | None]:
        """The items of these ids, in order; None where there is none."""

    @abstractmethod
    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """float32[len(ids), d], in order. Raises UnknownItemError naming the first id that is not there."""

    @abstractmethod
    def thumbnail(self, id: str) -> bytes | None:
        """The stored thumbnail, or None if the item has none. Raises UnknownItemError."""

    @abstractmethod
    def page(self, *, after: str | None = None, limit: int = 100, filter: Filter | None = None) -> list[Item]:
        """Items in the order of their ids, those behind `after`, at most `limit`."""

    @abstractmethod
    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        filter: Filter | None = None,
        *,
        include: AbstractSet[HitField] = HIT_FIELDS,
    ) -> list[list[Hit]]:
        """The k items with the greatest inner product to each of float32[q, d], best first.

        include: what is read of each item beside its id. Fewer than k hits only where fewer than k items pass the
        filter. A filtered search is exact. Raises
        InvalidItemError for queries that are not finite and L2-normalised.
        """

    @abstractmethod
    def sample(self, count: int) -> NDArray[np.float32]:
        """float32[m, d], m <= count: vectors of some items, spread evenly over the order of their writes."""

    @abstractmethod
    def labelled(self) -> tuple[NDArray[np.float32], list[str], int]:
        """Vectors float32[n, d] and labels of all items that have a label, and the sequence number they are of."""

    @abstractmethod
    def count(self, filter: Filter | None = None) -> int:
        """How many items pass the filter."""

    @abstractmethod
    def stats(self) -> CollectionStats:
        """What there is, without a pass over the vectors."""

    @abstractmethod
    def optimise(self) -> None:
        """Bring the index to the kind and the settings that suit what the collection holds now, and measure it."""

    @abstractmethod
    def snapshot(self, folder: Path) -> int:
        """Write a consistent copy that can be opened as a collection; returns the sequence number it is of."""

    @abstractmethod
    def close(self) -> None:
        """Finish writes, save the index, release files. Closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
