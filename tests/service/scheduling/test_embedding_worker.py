"""Embedding beside the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

import retrieval.images
from retrieval.errors import ImageError
from retrieval.gallery import Gallery
from retrieval.images import ImageLimits
from service.scheduling.batching import Batcher
from service.scheduling.embedding_worker import EmbeddingWorker
from service.scheduling.lines import Priority

Picture = Callable[..., bytes]


@pytest.fixture
def worker(gallery: Gallery) -> EmbeddingWorker:
    batcher = Batcher(search_batch=4, upload_batch=2, delay=0)
    return EmbeddingWorker(gallery.embedder, batcher, limits=ImageLimits(), decode_threads=2)


def test_the_event_loop_runs_on_while_the_network_works(
    worker: EmbeddingWorker, gallery: Gallery, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    embed = gallery.embedder.embed_prepared

    def slow(images: np.ndarray) -> np.ndarray:
        # Returns only if the event loop is not blocked by it.
        assert free.wait(10)
        return embed(images)

    monkeypatch.setattr(gallery.embedder, "embed_prepared", slow)

    async def run() -> None:
        image = await worker.prepare(picture("red"), Priority.SEARCH)
        embedding = asyncio.create_task(worker.embed([image], Priority.SEARCH))
        waiting = asyncio.create_task(worker.embed([image], Priority.SEARCH))
        await asyncio.sleep(0.05)
        assert not embedding.done()
        free.set()
        first, second = await asyncio.gather(embedding, waiting)
        assert first.embed_ms >= 40
        assert second.wait_ms >= 40
        np.testing.assert_array_equal(first.vectors, second.vectors)

    asyncio.run(run())
    worker.close()
    worker.close()


def test_images_are_decoded_side_by_side(
    worker: EmbeddingWorker, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(2, timeout=10)
    decode = retrieval.images.decode_image

    def meet(*args: object, **kwargs: object) -> object:
        meeting.wait()
        return decode(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they come

    monkeypatch.setattr("service.scheduling.embedding_worker.decode_image", meet)

    async def run() -> None:
        await asyncio.gather(
            worker.prepare(picture("red"), Priority.SEARCH), worker.prepare(picture("blue"), Priority.SEARCH)
        )

    asyncio.run(run())
    worker.close()


def test_a_search_is_decoded_before_uploads_that_came_earlier(
    worker: EmbeddingWorker, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, begun, decoded = threading.Event(), threading.Semaphore(0), []
    decode = retrieval.images.decode_image

    def wait(content: bytes, **kwargs: object) -> object:
        begun.release()
        assert free.wait(10)
        decoded.append(content)
        return decode(content, **kwargs)  # type: ignore[arg-type]  # passed through as they come

    monkeypatch.setattr("service.scheduling.embedding_worker.decode_image", wait)
    busy, upload, search, gone = (picture(colour) for colour in ("red", "green", "blue", "white"))

    async def run() -> None:
        uploads = [asyncio.create_task(worker.prepare(busy, Priority.UPLOAD)) for _ in range(2)]
        for _ in uploads:
            assert await asyncio.to_thread(begun.acquire, timeout=10)
        uploads.append(asyncio.create_task(worker.prepare(upload, Priority.UPLOAD)))
        leaving = asyncio.create_task(worker.prepare(gone, Priority.SEARCH))
        searching = asyncio.create_task(worker.prepare(search, Priority.SEARCH))
        await asyncio.sleep(0.02)
        leaving.cancel()
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(*uploads, searching)

    asyncio.run(run())
    worker.close()
    assert decoded.index(search) < decoded.index(upload)
    assert gone not in decoded


def test_a_batch_keeps_its_order_and_a_bad_image_its_words(worker: EmbeddingWorker, picture: Picture) -> None:
    async def run() -> None:
        red, blue = await asyncio.gather(
            worker.prepare(picture("red"), Priority.SEARCH),
            worker.prepare(picture("blue"), Priority.UPLOAD, thumbnail=True),
        )
        assert red.thumbnail is None
        assert blue.thumbnail is not None
        assert blue.thumbnail.startswith(b"\xff\xd8")
        vectors = (await worker.embed([red, blue], Priority.SEARCH)).vectors
        assert vectors[0, 0] > 0.9
        assert vectors[1, 2] > 0.9
        with pytest.raises(ImageError, match="the image"):
            await worker.prepare(b"nothing", Priority.SEARCH)

    asyncio.run(run())
    worker.close()


def test_stages_are_measured_apart(
    worker: EmbeddingWorker, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = retrieval.images.decode_image

    def slow(*args: object, **kwargs: object) -> object:
        time.sleep(0.05)
        return decode(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they come

    monkeypatch.setattr("service.scheduling.embedding_worker.decode_image", slow)

    async def run() -> None:
        prepared = await asyncio.gather(*(worker.prepare(picture("red"), Priority.SEARCH) for _ in range(4)))
        assert all(image.decode_ms >= 50 for image in prepared)
        # Two threads: the third and the fourth wait for the first and the second.
        assert sorted(image.wait_ms for image in prepared)[2] >= 25  # 50, less what their start took

    asyncio.run(run())
    worker.close()
