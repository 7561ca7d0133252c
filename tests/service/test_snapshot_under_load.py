"""Snapshots of a served collection that clients search and write, restored in another folder.

Each holds what the collection held at the write that it names: for every client, what its first so many writes made.

`pytest tests/service/test_snapshot_under_load.py -m slow -s` takes about two minutes and prints what each holds.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexes import LocalCollection
from retrieval.bundle import load_bundle
from retrieval.gallery import create_gallery
from retrieval.gallery_snapshot import restore_gallery, snapshot_gallery
from tests.retrieval.students import write_model
from tests.service.served_process import served
from tests.service.test_kill import photo

SECONDS = 60.0
WRITERS = 4
SEARCHERS = 4


@dataclass(frozen=True)
class Written:
    """A write that was answered. label: None for a deletion, whose answer names no sequence number."""

    id: str
    label: str | None
    sequence: int | None


@dataclass
class Writer:
    """Writes its own items one after the other, so that its writes have ascending numbers."""

    name: str
    writes: list[Written] = field(default_factory=list)

    def write(self, client: httpx.Client, stop: threading.Event) -> None:
        rng = random.Random(self.name)
        while not stop.is_set():
            id = f"{self.name}-{rng.randrange(50)}"
            if rng.random() < 0.3:
                assert client.delete(f"/v1/items/{id}").status_code in (204, 404)
                self.writes.append(Written(id, None, None))
                continue
            label = str(len(self.writes))
            files = {"image": photo(len(self.writes) % 256)}
            answer = client.put(f"/v1/items/{id}", files=files, data={"label": label})
            assert answer.status_code in (200, 201)
            self.writes.append(Written(id, label, answer.json()["sequence"]))

    def possible(self, sequence: int) -> list[dict[str, str]]:
        """Id to label after the writes up to this number: a deletion between two numbers may be on either side."""
        numbers = [write.sequence for write in self.writes]
        first = max(
            (at + 1 for at, one in enumerate(numbers) if one is not None and one <= sequence), default=0
        )
        beyond = (at for at, one in enumerate(numbers) if one is not None and one > sequence)
        last = next(beyond, len(numbers))
        return [state(self.writes[:stop]) for stop in range(first, last + 1)]


def state(writes: Iterable[Written]) -> dict[str, str]:
    labels = {write.id: write.label for write in writes}
    return {id: label for id, label in labels.items() if label is not None}


def search(client: httpx.Client, stop: threading.Event) -> int:
    for number in itertools.count(1):
        assert client.post("/v1/search", files={"image": photo(number % 256)}).status_code == 200
        if stop.is_set():
            return number
    raise AssertionError


@pytest.mark.slow
def test_each_holds_what_was_there_at_the_write_that_it_names(tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    write_model(tmp_path / "model", seed=0)
    create_gallery(folder, load_bundle(tmp_path / "model")).close()
    writers = [Writer(name) for name in "abcdefgh"[:WRITERS]]
    stop = threading.Event()
    snapshots: dict[int, Path] = {}
    with (
        served("--collection", str(folder), "--port", "0") as http,
        ThreadPoolExecutor(WRITERS + SEARCHERS) as pool,
    ):
        writing = [pool.submit(writer.write, http, stop) for writer in writers]
        searching = [pool.submit(search, http, stop) for _ in range(SEARCHERS)]
        clients: list[Future[Any]] = [*writing, *searching]
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end and not any(each.done() for each in clients):
                time.sleep(SECONDS / 12)
                target = tmp_path / f"snapshot {len(snapshots)}"
                snapshots[snapshot_gallery(folder, target).sequence] = target
        finally:
            stop.set()
        for each in writing:
            each.result()
        searches = sum(each.result() for each in searching)
    print(f"{sum(len(writer.writes) for writer in writers)} writes and {searches} searches were answered")
    assert len(snapshots) > 2
    for sequence, snapshot in snapshots.items():
        elsewhere = tmp_path / "elsewhere" / snapshot.name
        elsewhere.parent.mkdir(exist_ok=True)
        assert restore_gallery(snapshot, elsewhere).sequence == sequence
        with LocalCollection.open(elsewhere) as collection:
            held = {item.id: item.label for item in collection.page(limit=1000)}
            assert collection.stats().sequence == sequence
            assert collection.check().problems == ()
        for writer in writers:
            mine = {id: label for id, label in held.items() if id.startswith(writer.name)}
            assert mine in writer.possible(sequence)
        print(f"the snapshot of write {sequence} holds {len(held)} items, all as they were")
