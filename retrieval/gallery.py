"""A gallery: the images that are searched, as a collection of vectors together with the model that made them.

GALLERY/
  model/     the model bundle, so that the folder needs nothing beside it
  ...        the collection's own files (`indexes.local_collection`), or milvus.json, which says where its items are
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexes import Attributes, Collection, CollectionError, LocalCollection, NewItem
from indexes.behind_link import behind_link
from indexes.milvus.settings import MilvusSettings
from indexes.opening import create_in_milvus, open_collection
from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.embedder import Embedder, ImageSource
from retrieval.engines import copy_exports
from retrieval.errors import ImageError
from retrieval.gallery_folder import MODEL_NAME, check_is_gallery
from retrieval.images import thumbnail_jpeg
from retrieval.query_model import load_query_model
from retrieval.read_ahead import read_ahead

UPSERT_BATCH = 64
"""Items a transaction: one fsync for many items, and little work lost when a build is killed."""


@dataclass(frozen=True)
class GalleryImage:
    """An image to be indexed under an id."""

    id: str
    source: ImageSource
    label: str | None = None
    attributes: Attributes | None = None


@dataclass(frozen=True)
class Gallery:
    """A collection and the embedder of the model that filled it, which every item is embedded by. query_embedder: of
    another model in the same space, which queries are embedded by; None: they are embedded by the same one.
    """

    folder: Path
    collection: Collection
    embedder: Embedder
    query_embedder: Embedder | None = None

    @property
    def asks(self) -> Embedder:
        """The embedder of queries."""
        return self.query_embedder or self.embedder

    def read(self, source: ImageSource) -> tuple[NDArray[np.uint8], bytes]:
        """Decode once: the prepared image uint8[p, p, 3] and the JPEG thumbnail. Raises ImageError."""
        image = self.embedder.decode(source)
        return self.embedder.bundle.preprocessing.prepare(image), thumbnail_jpeg(image)

    def add(
        self, images: Sequence[GalleryImage], *, on_error: Callable[[str, ImageError], None]
    ) -> Iterator[GalleryImage]:
        """Embed and upsert many images; yields each image when its transaction is on disk.

        on_error(id, error) is called for each image that cannot be read, which is then
        left out. Killed halfway, the images done so far are there and the same call may be repeated.
        """
        results = read_ahead(lambda image: self.read(image.source), images, ahead=3 * UPSERT_BATCH)
        # While one batch is written, the engine is at work on the next.
        with ThreadPoolExecutor(1, thread_name_prefix="gallery-writer") as writer:
            written: Future[object] | None = None
            before: list[GalleryImage] = []
            while chunk := list(islice(results, UPSERT_BATCH)):
                items = self._embedded(chunk, on_error)
                if written is not None:
                    written.result()
                    yield from before
                written = writer.submit(self.collection.upsert, items) if items else None
                before = [image for image, _ in chunk]
                if written is None:
                    yield from before
            if written is not None:
                written.result()
                yield from before

    def _embedded(
        self,
        chunk: Sequence[tuple[GalleryImage, Future[tuple[NDArray[np.uint8], bytes]]]],
        on_error: Callable[[str, ImageError], None],
    ) -> list[NewItem]:
        """The items of those images that could be read."""
        read: list[tuple[GalleryImage, NDArray[np.uint8], bytes]] = []
        for image, future in chunk:
            try:
                read.append((image, *future.result()))
            except ImageError as error:
                on_error(image.id, error)
        if not read:
            return []
        vectors = self.embedder.embed_prepared(np.stack([prepared for _, prepared, _ in read]))
        return [
            NewItem(image.id, vector, image.label, image.attributes or {}, thumbnail)
            for (image, _, thumbnail), vector in zip(read, vectors, strict=True)
        ]

    def close(self) -> None:
        """Close the collection."""
        self.collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_gallery(
    folder: Path,
    bundle: Bundle,
    *,
    index: str = "auto",
    engine: str = "torch",
    milvus: MilvusSettings | None = None,
) -> Gallery:
    """Make an empty gallery for this model, with the exports for other engines that the model's bundle holds.

    engine: of the gallery that is returned, see `retrieval.engines`. milvus: where its items go, None for the folder.
    Raises CollectionError if the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise CollectionError(f"{folder} is not empty; choose another folder, or delete it first")
    embedder = Embedder(bundle, engine=engine)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        save_bundle(
            folder / MODEL_NAME,
            bundle.network,
            bundle.preprocessing,
            recipe=bundle.recipe,
            scores=bundle.scores,
            pretraining=bundle.pretraining,
            space=bundle.space,
        )
        copy_exports(bundle, folder / MODEL_NAME)
        size, fingerprint = bundle.embedding_size, bundle.fingerprint
        collection: Collection
        if milvus is None:
            collection = LocalCollection.create(
                folder, embedding_size=size, model_fingerprint=fingerprint, index=index
            )
        else:
            collection = create_in_milvus(folder, milvus, embedding_size=size, model_fingerprint=fingerprint)
    except BaseException:
        # Nothing was stored yet; a half-made folder would only stand in the way of the next try.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Gallery(folder, collection, embedder)


def open_gallery(
    folder: Path, *, read_only: bool = False, engine: str = "torch", query_model: str | None = None
) -> Gallery:
    """Open a gallery that is there. query_model: a bundle that embeds the queries instead of the gallery's own model,
    in whose space it must embed. Raises CollectionError or BundleError, one line each.
    """
    check_is_gallery(folder)
    found = behind_link(folder)
    bundle = load_bundle(found / MODEL_NAME)
    # Before the collection is opened, so that nothing is locked where the engine cannot be had.
    embedder = Embedder(bundle, engine=engine)
    queries = None
    if query_model is not None:
        queries = Embedder(load_query_model(query_model, bundle), engine=engine)
    collection = open_collection(found, model_fingerprint=bundle.fingerprint, read_only=read_only)
    if behind_link(folder) != found:
        # Switched while the model was loaded, when this was not locked yet: what is written here now would be lost.
        collection.close()
        return open_gallery(folder, read_only=read_only, engine=engine, query_model=query_model)
    return Gallery(found, collection, embedder, queries)
