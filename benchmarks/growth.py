"""How a collection grows: what filling, choosing an index, searching, starting and an item in memory cost, by size.

    python benchmarks/growth.py [--embeddings FILE.npz] [--items 10000,100000,1000000] [--size 512] [--queries 256]

For each size one collection is filled as by `hdhe index build`, without images, and closed. Then it is opened in a
fresh process, once with its files dropped from the system's cache (`cold`) and again (`warm`), up to the answer to the
first query; there queries are timed and memory is read. Memory is what the process takes beyond one with an empty
collection: of its own, and mapped from the index file, which the system may take back. 10^6 items of 512 numbers need
about 6 GB on the disk and as much memory while the index is built.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.machine import machine
from benchmarks.shared.vectors import Vectors, embeddings
from indexes import LocalCollection, NewItem
from indexes.exact_search import exact_search

K, BATCH = 10, 64


def fill(folder: Path, vectors: Vectors, index: str) -> dict[str, Any]:
    """Make, fill, choose the index, save. Seconds of each, and bytes on the disk."""
    started = time.perf_counter()
    with LocalCollection.create(
        folder, embedding_size=vectors.shape[1], model_fingerprint="benchmark", index=index
    ) as collection:
        for start in range(0, len(vectors), 1000):
            collection.upsert(
                [
                    NewItem(str(start + i), row, label=f"class {i % 50}")
                    for i, row in enumerate(vectors[start : start + 1000])
                ]
            )
        filled = time.perf_counter()
        collection.optimise()
        chosen = time.perf_counter()
    stats = LocalCollection.info(folder)
    return {
        "fill": filled - started,
        "optimise": chosen - filled,
        "save": time.perf_counter() - chosen,
        "kind": stats.index_kind,
        "disk": stats.bytes_on_disk,
    }


def forget_files(folder: Path) -> None:
    """Ask the system to drop what it holds of the files in memory."""
    for path in folder.iterdir():
        if not path.is_file():
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def serve(folder: Path, queries_file: Path) -> None:
    """The child process: opens, answers, and prints what it took as JSON."""
    queries = np.load(queries_file)
    started = time.perf_counter()
    with LocalCollection.open(folder, read_only=True) as collection:
        opened = time.perf_counter()
        collection.search(queries[:1], K)
        answered = time.perf_counter()
        alone, together, found = [], [], []
        for query in queries:
            before = time.perf_counter()
            found.extend(collection.search(query[None], K))
            alone.append(time.perf_counter() - before)
        for start in range(0, len(queries) - BATCH + 1, BATCH):
            before = time.perf_counter()
            collection.search(queries[start : start + BATCH], K)
            together.append(time.perf_counter() - before)
        print(
            json.dumps(
                {
                    "open": opened - started,
                    "first": answered - started,
                    "alone": 1000 * statistics.median(alone),
                    "slowest": 1000 * float(np.quantile(alone, 0.99)),
                    "together": 1000 * statistics.median(together) / BATCH if together else None,
                    "memory": _memory("RssAnon"),
                    "mapped": _memory("RssFile"),
                    "found": [[hit.id for hit in hits] for hits in found],
                }
            )
        )


def _memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def asked(folder: Path, queries_file: Path) -> dict[str, Any]:
    """What a fresh process measures."""
    command = [sys.executable, __file__, "--serve", str(folder), "--queries-file", str(queries_file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """A row of the table for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--embeddings", type=Path, help="an .npz of `hdhe embed`; made-up clusters without it"
    )
    parser.add_argument("--items", default="10000,100000,1000000", help="sizes, smallest first")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--index", default="auto")
    parser.add_argument("--rounds", type=int, default=5, help="openings of each kind")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--queries-file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.queries_file)
        return
    sizes = sorted(int(text) for text in options.items.split(","))
    vectors, queries, source = embeddings(options.embeddings, sizes[-1], options.size, options.queries)
    print(machine("faiss", "numpy"))
    print(f"{options.size} numbers an item, {source}; times are medians of {options.rounds}\n")
    print(
        f"{'items':>10} {'index':<12}{'fill/s':>8}{'index s':>9}{'recall':>8}{'1 query ms':>11}{'p99':>8}"
        f"{'in 64 ms':>9}{'cold s':>8}{'warm s':>8}{'B an item':>10}{'mapped':>8}{'on disk':>9}"
    )
    with tempfile.TemporaryDirectory() as home:
        queries_file = Path(home) / "queries.npy"
        np.save(queries_file, queries)
        empty = Path(home) / "empty"
        fill(empty, vectors[:1], "flat")
        base = asked(empty, queries_file)
        for size in sizes:
            folder = Path(home) / str(size)
            made = fill(folder, vectors[:size], options.index)
            cold, warm = [], []
            for _ in range(options.rounds):
                forget_files(folder)
                cold.append(asked(folder, queries_file))
                warm.append(asked(folder, queries_file))
            keys = np.arange(size)
            batches = (
                (keys[i : i + 50_000], vectors[i : min(i + 50_000, size)]) for i in range(0, size, 50_000)
            )
            true = exact_search(queries, batches, K)[1].tolist()
            shared = [
                len(set(map(int, a)) & set(b)) / K for a, b in zip(warm[-1]["found"], true, strict=True)
            ]

            def median(rows: list[dict[str, Any]], key: str) -> float:
                return float(statistics.median(row[key] for row in rows))

            print(
                f"{size:>10,} {made['kind']:<12}{size / made['fill']:>8,.0f}{made['optimise']:>9.1f}"
                f"{statistics.mean(shared):>8.4f}{median(warm, 'alone'):>11.3f}{median(warm, 'slowest'):>8.3f}"
                f"{median(warm, 'together'):>9.3f}{median(cold, 'first'):>8.2f}{median(warm, 'first'):>8.2f}"
                f"{(median(warm, 'memory') - base['memory']) / size:>10,.0f}"
                f"{(median(warm, 'mapped') - base['mapped']) / size:>8,.0f}{made['disk'] / size:>9,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
