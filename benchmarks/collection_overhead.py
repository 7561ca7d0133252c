"""What a collection costs beside the FAISS index in it: filling, opening, searching.

    python benchmarks/collection_overhead.py [--items 60000] [--index auto]

Clustered random vectors of 512 floats, 3 kB thumbnails; times are medians after a warm-up. The baseline of a search
is the same FAISS index without the collection around it, in the same run, and flat FAISS beside it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes import LocalCollection, NewItem, parse_filter

D = 512
FILTERS: dict[str, dict[str, object]] = {
    "one label": {"label": "class 7"},
    "a tenth, by attribute": {"attributes": {"price": {"lt": 10}}},
    "half, by attribute": {"attributes": {"color": "red"}},
}


def clustered(n: int, seed: int) -> NDArray[np.float32]:
    """float32[n, D], normalised, around 6,000 centres that are the same for every seed."""
    centres = np.random.default_rng(0).standard_normal((6000, D), dtype=np.float32)
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(6000, size=n)] + 0.7 * rng.standard_normal((n, D), dtype=np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def milliseconds(work: Callable[[], object], times: int = 15) -> str:
    """Median and worst of so many runs."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(taken):8.1f} ms (worst {max(taken):.1f})"


def main() -> None:
    """Fill, close, open, search; print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--items", type=int, default=60_000)
    options.add_argument("--index", default="auto")
    chosen = options.parse_args()
    vectors, queries = clustered(chosen.items, 1), clustered(64, 2)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "collection"
        start = time.perf_counter()
        collection = LocalCollection.create(
            folder, embedding_size=D, model_fingerprint="none", index=chosen.index
        )
        for first in range(0, chosen.items, 1000):
            collection.upsert(
                [
                    NewItem(
                        f"item/{i}",
                        vectors[i],
                        label=f"class {i % 3000}",
                        attributes={"price": i % 100, "color": "red" if i % 2 else "blue"},
                        thumbnail=bytes(3000),
                    )
                    for i in range(first, min(first + 1000, chosen.items))
                ]
            )
        print(f"fill, 1000 at a time     {chosen.items / (time.perf_counter() - start):8.0f} items/s")
        collection.optimise()
        collection.close()
        start = time.perf_counter()
        collection = LocalCollection.open(folder)
        print(f"open                     {1000 * (time.perf_counter() - start):8.1f} ms")
        with collection:
            stats = collection.stats()
            print(f"index                    {stats.index_kind}, recall@10 {stats.index_recall[10]:.4f}")
            print(
                f"upsert of one            {milliseconds(lambda: collection.upsert([NewItem('x', vectors[0])]))}"
            )
            inner = collection._index.in_use
            flat = faiss.IndexFlatIP(D)
            flat.add(vectors)
            for count, k in ((1, 10), (64, 10), (1, 1000)):
                asked = queries[:count]
                print(f"search, {count} queries, k = {k}")
                print(f"    collection           {milliseconds(lambda: collection.search(asked, k))}")  # noqa: B023 - called at once
                print(f"    its index alone      {milliseconds(lambda: inner.search(asked, k))}")  # noqa: B023 - called at once
                print(f"    flat FAISS           {milliseconds(lambda: flat.search(asked, k))}")  # noqa: B023 - called at once
            for name, condition in FILTERS.items():
                filter = parse_filter(condition)
                found = milliseconds(lambda: collection.search(queries[:1], 10, filter), 5)  # noqa: B023 - called at once
                print(f"filtered, {name:21}  {found}")


if __name__ == "__main__":
    main()
