"""kill -9 of `hdhe serve` while clients write and another collection takes the place of the one that is served.

Every write that was answered is in the collection that the link points to then, whichever of the two that is, and its
index is the one that the rows give.

`pytest tests/service/test_kill.py -m slow -s` kills a dozen times and prints what each found.
"""

from __future__ import annotations

import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from PIL import Image

from indexes import CollectionError, LocalCollection
from indexes.collection_reading import stored_items
from retrieval.bundle import load_bundle
from retrieval.gallery import create_gallery
from retrieval.gallery_switch import switch
from retrieval.reembedding import begin_to_follow, follow
from tests.retrieval.students import write_model
from tests.service.served_process import client_of, serve

State = dict[str, str | None]
"""Id to the label that was last put, None once it is deleted."""

KILLS = 12
CLIENTS = 2


def photo(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 32), (shade, 255 - shade, 90)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Client:
    """Writes its own items one after the other. tried: what it has asked for and not been answered."""

    name: str
    made: State = field(default_factory=dict)
    tried: State = field(default_factory=dict)
    version: int = 0

    def write(self, client: httpx.Client, rng: random.Random) -> None:
        """Until the service is gone."""
        try:
            while True:
                self.version += 1
                id = f"{self.name}-{rng.randrange(30)}"
                label = None if rng.random() < 0.3 else str(self.version)
                self.tried = {id: label}
                while self._asked(client, id, label) == 503:
                    pass  # another collection has taken its place: to be sent again
                self.made |= self.tried
        except httpx.TransportError:
            return

    def _asked(self, client: httpx.Client, id: str, label: str | None) -> int:
        if label is None:
            status = client.delete(f"/v1/items/{id}").status_code
            assert status in (204, 404, 503)
        else:
            files = {"image": photo(self.version % 256)}
            status = client.put(f"/v1/items/{id}", files=files, data={"label": label}).status_code
            assert status in (200, 201, 503)
        return status

    def found(self, labels: dict[str, str | None]) -> int:
        """Compare with what is there: how many writes were made and not answered, 0 or 1."""
        mine = {id: label for id, label in labels.items() if id.startswith(self.name)}
        with_tried = self.made | self.tried
        assert mine in [
            {id: label for id, label in state.items() if label} for state in (self.made, with_tried)
        ]
        unanswered = mine != {id: label for id, label in self.made.items() if label}
        if unanswered:
            self.made = with_tried
        self.tried = {}
        return int(unanswered)


def followed_by(link: Path, target: Path, model: Path) -> None:
    """As `hdhe index reembed`."""
    with stored_items(link) as items, create_gallery(target, load_bundle(model)) as gallery:
        begin_to_follow(target, items)
        list(follow(items, gallery, on_error=refuse))


def refuse(*error: object) -> None:
    pytest.fail(str(error))


@pytest.mark.slow
def test_a_dozen_kills_of_the_served_process(tmp_path: Path) -> None:
    models = [tmp_path / "model 0", tmp_path / "model 1"]
    for seed, model in enumerate(models):
        write_model(model, seed=seed)
    create_gallery(tmp_path / "gallery 0", load_bundle(models[0])).close()
    link = tmp_path / "link"
    link.symlink_to("gallery 0")
    clients = [Client(name) for name in "abcdef"[:CLIENTS]]
    switched = unanswered = 0
    for number in range(1, KILLS + 1):
        rng = random.Random(number)
        process = serve("--collection", str(link), "--port", "0")
        target = tmp_path / f"gallery {number}"
        try:
            with client_of(process) as http, ThreadPoolExecutor(CLIENTS) as pool:
                writing = [pool.submit(each.write, http, random.Random(rng.random())) for each in clients]
                followed_by(link, target, models[number % 2])
                before = link.resolve()
                threading.Timer(rng.uniform(0.0, 2.0), process.kill).start()
                refused = ""
                try:
                    switch(link, target, on_error=refuse)
                except CollectionError as error:
                    refused = str(error)
                assert not refused or "ended before it was done" in refused
                assert process.wait() == -9, "it must not have ended by itself"
                for each in writing:
                    each.result()
        finally:
            process.kill()
            process.communicate()
        switched += link.resolve() != before
        with LocalCollection.open(link) as collection:
            labels = {item.id: item.label for item in collection.page(limit=1000)}
            unanswered += sum(each.found(labels) for each in clients)
            assert collection.check().problems == ()
        print(
            f"kill {number}: {sum(each.version for each in clients)} writes so far, {len(labels)} items there"
        )
    print(
        f"{switched} of {KILLS} times the link was switched; {unanswered} writes were made and not answered"
    )
    assert switched > 0
