"""The items of one gallery, embedded anew by another model into a second gallery, which then follows the first.

The photos themselves are not stored. What is embedded is the original where a folder of them is given and still shows
what the stored thumbnail shows, and otherwise the thumbnail, whose longer side has 256 pixels: a little less than the
original for most models, and `thumbnail_agreement` says how much less.

NEW/origin.json says which collection is followed and up to which write. It is replaced after each batch, so that what
was killed goes on where it was, and what is written to the first gallery meanwhile is taken over by following again.
Labels, attributes and thumbnails go with the items; the names of writes (`Idempotency-Key`) do not.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageStat

from indexes import CollectionError, Item, LocalCollection, NewItem, UnknownItemError
from indexes.collection_reading import CollectionReading
from retrieval.durable import replacing
from retrieval.embedder import Embedder
from retrieval.errors import ImageError
from retrieval.gallery import UPSERT_BATCH, Gallery
from retrieval.read_ahead import read_ahead

ORIGIN_NAME = "origin.json"
"""In the folder of a gallery that follows another."""

_SAME_PICTURE = 3.0
"""Mean difference, of 255, between two thumbnails of one picture: other decoders and other JPEGs make less of it."""

OnError = Callable[[str, Exception], None]


@dataclass(frozen=True)
class Followed:
    """What was taken over: items from their originals and from their thumbnails, left out, and deleted."""

    originals: int = 0
    thumbnails: int = 0
    left_out: int = 0
    deleted: int = 0

    def __add__(self, other: Followed) -> Followed:
        return Followed(
            self.originals + other.originals,
            self.thumbnails + other.thumbnails,
            self.left_out + other.left_out,
            self.deleted + other.deleted,
        )

    @property
    def writes(self) -> int:
        """All of them."""
        return self.originals + self.thumbnails + self.left_out + self.deleted


def followed_up_to(target: Path, source: str) -> int | None:
    """The write of a collection up to which a gallery follows it, or None. source: the collection's name."""
    try:
        origin = json.loads((target / ORIGIN_NAME).read_text())
        return int(origin["sequence"]) if origin["collection"] == source else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def begin_to_follow(target: Path, source: CollectionReading) -> None:
    """Let an empty gallery follow a collection from its first write on."""
    _write_origin(target, source, 0)


def follow(
    source: CollectionReading, target: Gallery, *, images: Path | None = None, on_error: OnError
) -> Iterator[Followed]:
    """Take over what was written to the source since it was last followed; yields what each batch was.

    images: a folder that may hold the original of an item at the item's id. on_error is called with the id of each
    item that cannot be embedded, which is then left out. Raises CollectionError if the target follows another.
    """
    sequence = followed_up_to(target.folder, source.name)
    if sequence is None:
        raise CollectionError(f"{target.folder}: it was not made from this collection; choose another folder")
    while items := source.since(sequence, UPSERT_BATCH):
        yield _take_over(source, target, items, images, on_error)
        sequence = items[-1].sequence
        _write_origin(target.folder, source, sequence)
    there = set(source.ids())
    gone = [id for id in _ids(target) if id not in there]
    for start in range(0, len(gone), UPSERT_BATCH):
        deleted = target.collection.delete(gone[start : start + UPSERT_BATCH])
        yield Followed(deleted=sum(deleted))


def thumbnail_agreement(source: CollectionReading, embedder: Embedder, count: int = 32) -> float | None:
    """What thumbnails cost: the mean cosine between stored vectors and those of the thumbnails, by the same model.

    Over `count` items; 1 where the thumbnail is all that was ever there. None where no item has a thumbnail.
    """
    thumbnails = {item.id: source.thumbnail(item.id) for item in source.page(limit=count)}
    known = {id: thumbnail for id, thumbnail in thumbnails.items() if thumbnail is not None}
    if not known:
        return None
    vectors = embedder.embed(list(known.values()))
    return float((vectors * source.vectors(list(known))).sum(axis=1).mean())


@dataclass(frozen=True)
class _Picture:
    pixels: NDArray[np.uint8]
    thumbnail: bytes
    original: bool


def _take_over(
    source: CollectionReading, target: Gallery, items: list[Item], images: Path | None, on_error: OnError
) -> Followed:
    taken: list[tuple[Item, _Picture]] = []
    left_out: list[str] = []
    for item, future in read_ahead(
        lambda item: _picture(source, target, item, images), items, ahead=UPSERT_BATCH
    ):
        try:
            taken.append((item, future.result()))
        except UnknownItemError:
            pass  # deleted, or written again, since it was read: a later round has it
        except ImageError as error:
            left_out.append(item.id)
            on_error(item.id, error)
    if taken:
        vectors = target.embedder.embed_prepared(np.stack([picture.pixels for _, picture in taken]))
        target.collection.upsert(
            [
                NewItem(item.id, vector, item.label, item.attributes, picture.thumbnail)
                for (item, picture), vector in zip(taken, vectors, strict=True)
            ]
        )
    # Of one that was written anew, what the target has is not the item any more.
    target.collection.delete(left_out)
    originals = sum(picture.original for _, picture in taken)
    return Followed(originals, len(taken) - originals, len(left_out))


def _picture(source: CollectionReading, target: Gallery, item: Item, images: Path | None) -> _Picture:
    stored = source.thumbnail(item.id)
    original = None if images is None else _original(target, images, item.id)
    if original is not None and (stored is None or _same_picture(original[1], stored)):
        return _Picture(original[0], stored or original[1], original=True)
    if stored is None:
        raise ImageError("it has neither a thumbnail nor an original; put it anew")
    return _Picture(target.embedder.prepare(stored), stored, original=False)


def _ids(gallery: Gallery) -> list[str]:
    assert isinstance(gallery.collection, LocalCollection), "a gallery in a folder has no other"
    return gallery.collection.ids()


def _original(target: Gallery, images: Path, id: str) -> tuple[NDArray[np.uint8], bytes] | None:
    """The prepared image and the thumbnail of a photo, or None if there is none that can be used."""
    path = (images / id).resolve()
    # An id is any text: one with dots in it must not lead out of the folder.
    if not path.is_relative_to(images.resolve()):
        return None
    try:
        if not path.is_file():
            return None
        return target.read(path)
    except (ImageError, OSError, ValueError):
        return None


def _same_picture(first: bytes, second: bytes) -> bool:
    with Image.open(io.BytesIO(first)) as a, Image.open(io.BytesIO(second)) as b:
        if a.size != b.size:
            return False
        difference = ImageStat.Stat(ImageChops.difference(a.convert("RGB"), b.convert("RGB"))).mean
    return sum(difference) / len(difference) < _SAME_PICTURE


def _write_origin(target: Path, source: CollectionReading, sequence: int) -> None:
    with replacing(target / ORIGIN_NAME) as file:
        file.write(json.dumps({"collection": source.name, "sequence": sequence}).encode())
