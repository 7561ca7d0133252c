"""What a collection costs beside the FAISS index in it: filling, opening, searching.

    python benchmarks/collection_overhead.py [--embeddings FILE.npz] [--items 60000] [--size 512] [--index auto]

Thumbnails of 3 kB. The baseline of a search is FAISS's own `search` of the very index that the collection holds, with
the same parameters, in the same run; `index` is the same through our class, which adds the lock and what was removed,
`ids alone` adds the rows with nothing of the hits but their ids, and `collection` their labels and attributes too. Both
remember the rows of earlier hits; with `rows unread` none is remembered, as for items that no search has found before.
They take turns in random order; the table shows medians, and the median of the ratios to FAISS with their quartiles.
Flat FAISS, which would push everything out of the caches, is timed after them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss

from benchmarks.shared.machine import machine
from benchmarks.shared.vectors import Vectors, embeddings
from indexes import LocalCollection, NewItem, parse_filter
from indexes.remembered_rows import RememberedRows

FILTERS: dict[str, dict[str, object]] = {
    "one label": {"label": "class 7"},
    "a tenth, by attribute": {"attributes": {"price": {"lt": 10}}},
    "half, by attribute": {"attributes": {"color": "red"}},
}


def milliseconds(work: Callable[[], object], times: int = 15) -> str:
    """Median and worst of so many runs."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(taken):8.1f} ms (worst {max(taken):.1f})"


def turns(works: dict[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """Milliseconds of each, one after the other and again, in random order, after a round to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    names, shuffle = list(works), random.Random(0).shuffle
    for _ in range(times + 1):
        shuffle(names)
        for name in names:
            work = works[name]
            start = time.perf_counter()
            work()
            taken[name].append(1000 * (time.perf_counter() - start))
    return {name: each[1:] for name, each in taken.items()}


def search_anew(collection: LocalCollection, queries: Vectors, k: int) -> None:
    """As if no search had been made before."""
    collection._rows._remembered = RememberedRows()
    collection.search(queries, k)


def main() -> None:
    """Fill, close, open, search; print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--embeddings", type=Path, help="an .npz of `hdhe embed`; made-up clusters without it"
    )
    options.add_argument("--items", type=int, default=60_000)
    options.add_argument("--size", type=int, default=512)
    options.add_argument("--index", default="auto")
    options.add_argument("--times", type=int, default=101)
    chosen = options.parse_args()
    vectors, queries, source = embeddings(chosen.embeddings, chosen.items, chosen.size, 64)
    print(machine("faiss", "numpy"))
    print(f"{chosen.items:,} x {chosen.size}, {source}\n")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "collection"
        start = time.perf_counter()
        collection = LocalCollection.create(
            folder, embedding_size=chosen.size, model_fingerprint="none", index=chosen.index
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
        start = time.perf_counter()
        collection.optimise()
        print(f"choose and build index   {time.perf_counter() - start:8.1f} s")
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
            state = collection._index.state
            flat = faiss.IndexFlatIP(chosen.size)
            flat.add(vectors)
            for count, k in ((1, 10), (64, 10), (1, 1000)):
                asked = queries[:count]
                raw = state.index._search
                parameters = raw.parameters(state.width.visited, k, state.width)
                works: dict[str, Callable[[], object]] = {
                    "FAISS": lambda: raw.index.search(asked, k, params=parameters),  # noqa: B023 - called at once
                    "index": lambda: state.index.search(asked, k, state.width),  # noqa: B023 - called at once
                    "ids alone": lambda: collection.search(asked, k, include=frozenset()),  # noqa: B023 - called at once
                    "collection": lambda: collection.search(asked, k),  # noqa: B023 - called at once
                    "rows unread": lambda: search_anew(collection, asked, k),  # noqa: B023 - called at once
                }
                print(f"search, {count} queries, k = {k}")
                taken = turns(works, chosen.times)
                taken |= turns({"flat FAISS": lambda: flat.search(asked, k)}, chosen.times)  # noqa: B023 - called at once
                for name, mine in taken.items():
                    over = [a / b - 1 for a, b in zip(mine, taken["FAISS"], strict=True)]
                    middle, half = statistics.median(over), statistics.quantiles(over, n=4)
                    spread = f"{middle:+8.1%} ({half[0]:+.1%} to {half[2]:+.1%})"
                    print(f"    {name:<20} {statistics.median(mine):8.3f} ms  {spread}")
            for name, condition in FILTERS.items():
                filter = parse_filter(condition)
                found = milliseconds(lambda: collection.search(queries[:1], 10, filter), 5)  # noqa: B023 - called at once
                print(f"filtered, {name:21}  {found}")


if __name__ == "__main__":
    main()
