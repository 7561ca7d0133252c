"""A gallery that follows another: from originals or thumbnails, resumed where it was, and never out of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from indexes import CollectionError, LocalCollection, NewItem
from retrieval import reembedding
from retrieval.bundle import load_bundle
from retrieval.embedder import Embedder, ImageSource
from retrieval.gallery import UPSERT_BATCH, Gallery
from retrieval.images import decode_image, thumbnail_jpeg
from retrieval.reembedding import Followed, begin_to_follow, follow, followed_up_to, thumbnail_agreement
from tests.retrieval.students import write_model


class Brightness:
    """Embeds an image as its mean and the complement, so that a vector tells which picture it was made of."""

    def prepare(self, source: ImageSource) -> NDArray[np.uint8]:
        image = source if isinstance(source, Image.Image) else decode_image(source)
        return np.asarray(image.resize((4, 4)))

    def decode(self, source: ImageSource) -> Image.Image:
        return decode_image(source)

    @property
    def bundle(self) -> Brightness:
        """Its own, and its own preprocessing."""
        return self

    preprocessing = bundle

    def embed_prepared(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        mean = images.reshape(len(images), -1).mean(1) / 255
        return np.stack([mean, np.sqrt(1 - mean**2)], 1).astype(np.float32)


def grey(shade: int, size: tuple[int, int] = (600, 400)) -> Image.Image:
    return Image.new("RGB", size, (shade, shade, shade))


def item(id: str, shade: int, *, thumbnail: bool = True) -> NewItem:
    vector = np.array([1, 0], np.float32)
    picture = thumbnail_jpeg(grey(shade)) if thumbnail else None
    return NewItem(id, vector, f"label {shade}", {"shade": shade}, picture)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[LocalCollection]:
    with LocalCollection.create(tmp_path / "old", embedding_size=2, model_fingerprint="1" * 64) as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path, source: LocalCollection) -> Iterator[Gallery]:
    folder = tmp_path / "new"
    with LocalCollection.create(folder, embedding_size=2, model_fingerprint="2" * 64) as collection:
        begin_to_follow(folder, source)
        yield Gallery(folder, collection, cast("Embedder", Brightness()))


def followed(source: LocalCollection, target: Gallery, **options: Path) -> tuple[Followed, list[str]]:
    left_out: list[str] = []
    batches = follow(source, target, on_error=lambda id, _: left_out.append(id), **options)
    return sum(batches, Followed()), left_out


def shades(gallery: Gallery) -> dict[str, float]:
    """What each vector was made of."""
    ids = [item.id for item in gallery.collection.page(limit=1000)]
    return (
        dict(zip(ids, (gallery.collection.vectors(ids)[:, 0] * 255).round().tolist(), strict=True))
        if ids
        else {}
    )


def test_items_go_over_with_all_they_have_and_are_followed(source: LocalCollection, target: Gallery) -> None:
    source.upsert([item(str(number), number) for number in range(150)])
    assert followed(source, target) == (Followed(thumbnails=150), [])
    assert shades(target) == {str(number): number for number in range(150)}
    for id in ("3", "149"):
        (old,), (new,) = source.get([id]), target.collection.get([id])
        assert old is not None
        assert new is not None
        assert (new.label, new.attributes) == (old.label, old.attributes)
        assert target.collection.thumbnail(id) == source.thumbnail(id)
    assert followed(source, target) == (Followed(), [])

    source.upsert([item("3", 200), item("new", 77)])
    source.delete(["5", "6"])
    assert followed(source, target) == (Followed(thumbnails=2, deleted=2), [])
    assert shades(target) == {str(n): n for n in range(150) if n not in (3, 5, 6)} | {"3": 200, "new": 77}


def test_originals_are_taken_where_they_show_the_same(
    source: LocalCollection, target: Gallery, tmp_path: Path
) -> None:
    images = tmp_path / "photos"
    (images / "shop").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"")
    grey(255).save(tmp_path / "secret.png")
    # The same picture, and a detail that a thumbnail does not show.
    photo = grey(100)
    photo.putpixel((0, 0), (255, 0, 0))
    photo.save(images / "shop" / "same.png")
    grey(180).save(images / "shop" / "other.png")
    grey(100, (400, 600)).save(images / "shop" / "turned.png")
    (images / "shop" / "broken.png").write_bytes(b"no image")
    grey(50).save(images / "only original.png")
    source.upsert(
        [item(f"shop/{name}.png", 100) for name in ("same", "other", "turned", "broken", "missing")]
        + [item("only original.png", 50, thumbnail=False)]
        + [item("../secret.png", 20), item("/etc/passwd", 21), item("shop", 22)]
    )
    done, left_out = followed(source, target, images=images)
    assert (done, left_out) == (Followed(originals=2, thumbnails=7), [])
    assert shades(target) == {
        "../secret.png": 20,
        "/etc/passwd": 21,
        "shop": 22,
        "only original.png": 50,
        **{f"shop/{name}.png": 100 for name in ("same", "other", "turned", "broken", "missing")},
    }


def test_what_has_no_picture_is_left_out_and_told(source: LocalCollection, target: Gallery) -> None:
    source.upsert([item("a", 10), item("b", 20)])
    followed(source, target)
    # Written anew: what the target has under this id is not the item any more.
    source.upsert([item("a", 30, thumbnail=False), item("c", 40, thumbnail=False)])
    assert followed(source, target) == (Followed(left_out=2), ["a", "c"])
    assert shades(target) == {"b": 20}


def test_killed_it_goes_on_where_it_was(
    source: LocalCollection, target: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.upsert([item(str(number), number) for number in range(200)])
    steps = follow(source, target, on_error=lambda *_: None)
    next(steps)
    assert target.collection.count() == UPSERT_BATCH
    next(steps)
    del steps
    assert followed_up_to(target.folder, source.name) == UPSERT_BATCH
    # Between the rows and the note of them: that batch is made again, to the same end.
    done, _ = followed(source, target)
    assert done.thumbnails == 200 - UPSERT_BATCH
    assert len(shades(target)) == 200


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"collection": "x"}', '{"sequence": 3}'])
def test_one_that_follows_nothing_is_refused(
    source: LocalCollection, target: Gallery, content: str | None
) -> None:
    origin = target.folder / reembedding.ORIGIN_NAME
    origin.unlink() if content is None else origin.write_text(content)
    assert followed_up_to(target.folder, source.name) is None
    with pytest.raises(CollectionError, match="it was not made from this collection"):
        followed(source, target)


def test_an_item_that_goes_while_it_is_read_is_no_failure(
    source: LocalCollection, target: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.upsert([item("a", 10), item("b", 20)])
    thumbnail = source.thumbnail

    def deleting(id: str) -> bytes | None:
        if id == "a":
            source.delete(["a"])
        return thumbnail(id)

    monkeypatch.setattr(source, "thumbnail", deleting)
    assert followed(source, target) == (Followed(thumbnails=1), [])
    assert shades(target) == {"b": 20}


def test_what_thumbnails_cost_is_measured(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    embedder = Embedder(load_bundle(str(tmp_path / "model")))
    rng = np.random.default_rng(0)
    photos = [
        Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((800, 600)) for _ in range(6)
    ]
    thumbnails = [thumbnail_jpeg(photo) for photo in photos]
    by_hand = (embedder.embed(photos) * embedder.embed(thumbnails)).sum(1).mean()
    with LocalCollection.create(
        tmp_path / "c", embedding_size=embedder.embedding_size, model_fingerprint=embedder.fingerprint
    ) as collection:
        assert thumbnail_agreement(collection, embedder) is None
        vectors = embedder.embed(photos)
        collection.upsert(
            [NewItem(str(i), vectors[i], thumbnail=thumbnail) for i, thumbnail in enumerate(thumbnails)]
        )
        assert thumbnail_agreement(collection, embedder) == pytest.approx(by_hand, abs=1e-5)
    assert 0.5 < by_hand < 1
