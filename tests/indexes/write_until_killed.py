"""Run by test_kill: upsert, delete, compact, rebuild and copy without end, and say so after each that has returned.

Lines on stdout: `ready`, `put VERSION ID...` (each item's label and vector follow from its version) and `del ID...`,
and before each of them `try ...` with the same words, because a write that was under way when the process is killed
may have happened or not, but only whole. Snapshots are taken by a thread beside: `snap SEQUENCE FOLDER`.
"""

import random
import sys
from itertools import count
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from indexes.collection import NewItem
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT

D = 16


def item(id: str, version: int) -> NewItem:
    """The item that a `put` of this version writes; no two have the same vector."""
    direction = np.random.default_rng([int(id), version]).standard_normal(D)
    vector: NDArray[np.float32] = (direction / np.linalg.norm(direction)).astype(np.float32)
    thumbnail = b"x" * (version % 2000 + 1)
    return NewItem(id, vector, label=str(version), attributes={"version": version}, thumbnail=thumbnail)


def say(line: str) -> None:
    """In one piece, whichever thread says it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def copy(collection: LocalCollection, snapshots: Path) -> None:
    """Take snapshots until killed."""
    for number in count():
        folder = snapshots / str(number)
        say(f"snap {collection.snapshot(folder)} {folder}")


def main(folder: str, seed: int, first_version: int, snapshots: str) -> None:
    """Write until killed."""
    rng = random.Random(seed)
    with LocalCollection.open(folder, model_fingerprint=FINGERPRINT) as collection:
        say("ready")
        Thread(target=copy, args=(collection, Path(snapshots)), daemon=True).start()
        version = first_version
        while True:
            version += 1
            ids = [str(number) for number in rng.sample(range(600), rng.choice([1, 1, 1, 5, 60]))]
            line = f"del {' '.join(ids)}" if rng.random() < 0.3 else f"put {version} {' '.join(ids)}"
            say(f"try {line}")
            if line.startswith("del"):
                collection.delete(ids)
            else:
                collection.upsert([item(id, version) for id in ids])
            say(line)
            # Also be killed while the index file is written, and while the database is.
            chance = rng.random()
            if chance < 0.02:
                collection.rebuild()
            elif chance < 0.04:
                collection.compact()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
