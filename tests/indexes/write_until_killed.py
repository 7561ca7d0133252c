"""Run by test_kill: upsert and delete without end, and say so after each write that has returned.

Lines on stdout: `ready`, `put VERSION ID...` (each item's label and vector follow from its version) and `del ID...`,
and before each of them `try ...` with the same words, because a write that was under way when the process is killed
may have happened or not, but only whole.
"""

import random
import sys

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


def main(folder: str, seed: int, first_version: int) -> None:
    """Write until killed."""
    rng = random.Random(seed)
    say = sys.stdout
    with LocalCollection.open(folder, model_fingerprint=FINGERPRINT) as collection:
        print("ready", file=say, flush=True)
        version = first_version
        while True:
            version += 1
            ids = [str(number) for number in rng.sample(range(600), rng.choice([1, 1, 1, 5, 60]))]
            line = f"del {' '.join(ids)}" if rng.random() < 0.3 else f"put {version} {' '.join(ids)}"
            print("try", line, file=say, flush=True)
            if line.startswith("del"):
                collection.delete(ids)
            else:
                collection.upsert([item(id, version) for id in ids])
            print(line, file=say, flush=True)
            if rng.random() < 0.02:
                # Also be killed while the index file is written.
                collection.optimise()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
