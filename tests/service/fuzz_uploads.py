"""Send damaged images to a service and tell what it made of them, and of its memory.

    python -m tests.service.fuzz_uploads [--uploads 10000] [--seed 0]

Prints one JSON object: uploads, answers by status, seconds, and the peak of the process's memory in MiB before the
first upload and after the last. The service has its own limits and decodes for real; its network is a mean colour.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import cast

from fastapi.testclient import TestClient

from indexes.local_collection import LocalCollection
from retrieval.embedder import Embedder
from retrieval.gallery import Gallery
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import FINGERPRINT, ColourEmbedder
from tests.service.damaged_images import damaged_files, sound_files


def fuzz(client: TestClient, uploads: int, seed: int) -> Counter[int]:
    """Answers by status. Every tenth file is stored as an item too, which makes a thumbnail of it."""
    answers: Counter[int] = Counter()
    for number, content in enumerate(damaged_files(uploads, seed)):
        sent = client.post("/v1/search", files={"image": content})
        answers[sent.status_code] += 1
        if sent.status_code not in (200, 422):
            print(f"upload {number} of seed {seed}: {sent.status_code} {sent.text}", file=sys.stderr)
        if number % 10 == 0:
            stored = client.put("/v1/items/fuzzed", files={"image": content})
            assert (stored.status_code < 300) == (sent.status_code < 300), (number, stored.text)
    return answers


def main() -> None:
    """Make a service, send, print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--uploads", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "collection"
        with LocalCollection.create(folder, embedding_size=4, model_fingerprint=FINGERPRINT) as collection:
            gallery = Gallery(folder, collection, cast("Embedder", ColourEmbedder()))
            with TestClient(create_app(gallery, Settings()), raise_server_exceptions=False) as client:
                for content in sound_files():
                    client.post("/v1/search", files={"image": content})
                before, started = _peak(), time.perf_counter()
                answers = fuzz(client, chosen.uploads, chosen.seed)
                seconds = time.perf_counter() - started
    told = {"uploads": chosen.uploads, "answers": dict(sorted(answers.items())), "seconds": round(seconds, 1)}
    print(json.dumps({**told, "peak_mib_before": before, "peak_mib_after": _peak()}))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
