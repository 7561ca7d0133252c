"""What the service measures of itself, in the form that Prometheus reads. docs/operations.md lists the metrics."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from indexes.errors import StorageError
from service.observability.stages import STAGES, StageTimes
from service.problems import OverloadedError

if TYPE_CHECKING:
    from service.backend import Backend

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)
"""Bounds of the histograms, from a search in a small index to an upload of many images."""
RECALL_KS = (1, 2, 4, 8)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class Telemetry:
    """The metrics of one service, in a registry of their own: two services in a process do not mix."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "hdhe_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "hdhe_request_seconds",
            "From the head of a request to the last byte of its answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=registry,
        )
        stage_seconds = Histogram(
            "hdhe_stage_seconds",
            "Parts of a request's time; an upload of many images enters a stage many times.",
            ("stage",),
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = {stage: stage_seconds.labels(stage) for stage in STAGES}
        self.in_flight = Gauge("hdhe_requests_in_flight", "Requests in work.", registry=registry)
        self._ready = Gauge("hdhe_ready", "1 when the model and the index are loaded.", registry=registry)
        self._waiting = Gauge("hdhe_images_waiting", "Images in line for the network.", registry=registry)
        self._items = Gauge("hdhe_items", "Items in the collection.", registry=registry)
        self._labels = Gauge("hdhe_labels", "Different labels.", registry=registry)
        self._sequence = Gauge("hdhe_sequence", "Number of the last write.", registry=registry)
        self._bytes = Gauge("hdhe_collection_bytes", "The collection on the disk.", registry=registry)
        self._index = Gauge("hdhe_index", "1 for the present kind.", ("kind", "on_gpu"), registry=registry)
        self._index_recall = Gauge(
            "hdhe_index_recall", "Of the index against exact search, on a sample.", ("k",), registry=registry
        )
        self._recall = Gauge(
            "hdhe_recall", "Recall@K of the labelled items, as last asked for.", ("k",), registry=registry
        )
        self._recall_age = Gauge("hdhe_recall_age_seconds", "Since that was computed.", registry=registry)

    def answered(self, method: str, route: str, status: int, seconds: float, times: StageTimes) -> None:
        """Count one answer. route: as it is declared, not as it was asked for."""
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(method, route).observe(seconds)
        for stage, each in times.seconds.items():
            for spent in each:
                self._stages[stage].observe(spent)

    async def scrape(self, backend: Backend | None, accept: str) -> tuple[bytes, str]:
        """Everything as of now, and its content type. accept: the header of that name."""
        self._ready.set(backend is not None)
        if backend is not None:
            self._waiting.set(backend.waiting)
            # Who watches has to see a full house and a broken disk, too: with the collection's figures of before.
            with suppress(OverloadedError, StorageError):
                await self._look_at(backend)
        encode, content_type = choose_encoder(accept)
        return await asyncio.to_thread(encode, self._registry), content_type

    async def _look_at(self, backend: Backend) -> None:
        stats = await backend.read(backend.collection.stats)
        self._items.set(stats.items)
        self._labels.set(stats.labels)
        self._sequence.set(stats.sequence)
        self._bytes.set(stats.bytes_on_disk)
        self._index.clear()
        self._index.labels(stats.index_kind, str(stats.index_on_gpu).lower()).set(1)
        self._index_recall.clear()
        for k, share in stats.index_recall.items():
            self._index_recall.labels(str(k)).set(share)
        latest = backend.recall.latest
        if latest is not None and latest.scores is not None:
            for k, recall in latest.recall(RECALL_KS).items():
                self._recall.labels(str(k)).set(recall or 0.0)
            self._recall_age.set(latest.age_seconds)
