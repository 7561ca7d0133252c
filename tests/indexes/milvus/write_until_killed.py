"""Writes to a collection in Milvus Lite and says on stdout what was acknowledged, until it is killed.

python -m tests.indexes.milvus.write_until_killed FOLDER
"""

import sys
from itertools import count
from pathlib import Path

import numpy as np

from indexes.collection import NewItem
from tests.indexes.milvus_lite import create_milvus


def main(folder: Path) -> None:
    collection = create_milvus(folder, embedding_size=4)
    vector = np.array([1, 0, 0, 0], np.float32)
    for number in count():
        # Three at a time, all or none; each round replaces `same` and deletes what the round before has made.
        made = [
            NewItem(f"{number}/{i}", vector, str(number), thumbnail=bytes([number % 256])) for i in range(2)
        ]
        collection.upsert([*made, NewItem("same", vector, str(number))])
        print("upserted", number, flush=True)
        collection.delete([f"{number - 1}/{i}" for i in range(2)])
        print("deleted", number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
