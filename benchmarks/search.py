"""Search beside FAISS, usearch, hnswlib and Milvus Lite, all tuned to the same recall on the same vectors.

    python benchmarks/search.py [--embeddings FILE.npz] [--items 60000] [--size 512] [--recall 0.99] [--rounds 5]

Each contender builds its index, is tuned on one half of the queries to the narrowest search that finds the wanted share
of the ten true neighbours, and is timed on the other half: one query at a time, and 64 at a time. They take turns, so
that whatever else the machine does falls on all of them. The table shows medians, and the ratio to flat FAISS within
each round with its range. `hdhe` is a collection as `hdhe index build` makes it: it chooses its index itself, and its
hits come with ids, labels and attributes; `its index alone` is FAISS in it, with the same parameters, and `ids alone`
the collection when nothing is asked for beside ids; both remember what the first round has found. With --embeddings of
`hdhe embed` the vectors are real; without, clusters are made up, which are harder. Contenders that are not installed
are left out: `pip install 'hdhe[bench]'`.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.shared.machine import machine
from benchmarks.shared.vectors import Vectors, embeddings
from indexes import LocalCollection, NewItem

K, BATCH, LINKS = 10, 64, 32
Numbers = NDArray[np.int64]
Search = Callable[[Vectors, int], Sequence[Sequence[int]] | Numbers]
"""Queries and a width (ef or the like) to the numbers of the items found."""


@dataclass
class Contender:
    """A built index. widths: False where the search has nothing to tune."""

    name: str
    search: Search
    seconds: float
    widths: bool = True
    width: int = 0
    recall: float = 0.0
    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)


def build_flat(vectors: Vectors) -> Search:
    """FAISS, exact."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda queries, _: index.search(queries, K)[1]


def build_faiss_hnsw(vectors: Vectors) -> Search:
    """FAISS's graph of float32."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    return lambda queries, ef: index.search(queries, K, params=faiss.SearchParametersHNSW(efSearch=ef))[1]


def build_usearch(vectors: Vectors, dtype: str) -> Search:
    """The graph of usearch, with its own constants but for the links."""
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=LINKS)
    index.add(np.arange(len(vectors)), vectors)

    def search(queries: Vectors, ef: int) -> Numbers:
        index.expansion_search = ef
        return np.asarray(index.search(queries, K).keys, np.int64).reshape(len(queries), K)

    return search


def build_hnswlib(vectors: Vectors) -> Search:
    """The graph of hnswlib, with its own constants but for the links."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=LINKS)
    index.add_items(vectors, np.arange(len(vectors)))

    def search(queries: Vectors, ef: int) -> Numbers:
        index.set_ef(max(ef, K))
        return np.asarray(index.knn_query(queries, k=K)[0], np.int64)

    return search


def build_milvus(vectors: Vectors, folder: Path) -> Search:
    """Milvus Lite's graph, in this process."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(str(folder / "milvus.db"))
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    params = client.prepare_index_params()
    params.add_index(
        "vector", index_type="HNSW", metric_type="IP", params={"M": LINKS, "efConstruction": 128}
    )
    client.create_collection("items", schema=schema, index_params=params)
    for start in range(0, len(vectors), 1000):
        rows = [{"id": start + i, "vector": row} for i, row in enumerate(vectors[start : start + 1000])]
        client.insert("items", rows)
    client.flush("items")
    client.load_collection("items")

    def search(queries: Vectors, ef: int) -> list[list[int]]:
        found = client.search("items", list(queries), limit=K, search_params={"params": {"ef": max(ef, K)}})
        return [[hit["id"] for hit in hits] for hits in found]

    return search


def build_ours(vectors: Vectors, folder: Path, recall: float) -> LocalCollection:
    """A collection whose index has been chosen by measurement."""
    collection = LocalCollection.create(
        folder / "collection", embedding_size=vectors.shape[1], model_fingerprint="benchmark", recall=recall
    )
    for start in range(0, len(vectors), 1000):
        collection.upsert(
            [
                NewItem(str(start + i), row, label=f"class {i % 50}", attributes={"price": i % 100})
                for i, row in enumerate(vectors[start : start + 1000])
            ]
        )
    collection.optimise()
    return collection


def contenders(vectors: Vectors, folder: Path, recall: float, stack: ExitStack) -> Iterator[Contender]:
    """Build one after the other."""

    def built(build: Callable[[], Any]) -> tuple[Any, float]:
        started = time.perf_counter()
        return build(), time.perf_counter() - started

    yield Contender("faiss flat", *built(lambda: build_flat(vectors)), widths=False)
    ours, seconds = built(lambda: stack.enter_context(build_ours(vectors, folder, recall)))
    state = ours._index.state
    kind, numbers = state.index.kind.name, _numbers(ours)
    print(f"hdhe has chosen {kind} at {state.width}", flush=True)

    def found(queries: Vectors, include: frozenset[Any]) -> list[list[int]]:
        return [[int(hit.id) for hit in hits] for hits in ours.search(queries, K, include=include)]

    yield Contender("hdhe", lambda q, _: found(q, frozenset(("label", "attributes"))), seconds, widths=False)
    yield Contender("hdhe, ids alone", lambda q, _: found(q, frozenset()), seconds, widths=False)
    yield Contender(
        f"its index alone ({kind})",
        lambda q, _: numbers[state.index.search(q, K, state.width)[1]],
        seconds,
        widths=False,
    )
    yield Contender(f"faiss HNSW{LINKS}", *built(lambda: build_faiss_hnsw(vectors)))
    others: tuple[tuple[str, str, Callable[[], Search]], ...] = (
        ("usearch", "usearch f32", lambda: build_usearch(vectors, "f32")),
        ("usearch", "usearch bf16", lambda: build_usearch(vectors, "bf16")),
        ("usearch", "usearch i8", lambda: build_usearch(vectors, "i8")),
        ("hnswlib", "hnswlib", lambda: build_hnswlib(vectors)),
        ("milvus_lite", "Milvus Lite HNSW", lambda: build_milvus(vectors, folder)),
    )
    for module, name, build in others:
        if importlib.util.find_spec(module) is None:
            print(f"{name} is left out: {module} is not installed", flush=True)
            continue
        yield Contender(name, *built(build))


def _numbers(collection: LocalCollection) -> Numbers:
    """The numbers of the items by their keys in the index."""
    items = collection.since(0, limit=1 << 31)
    numbers = np.full(max(item.sequence for item in items) + 1, -1, np.int64)
    for item in items:
        numbers[item.sequence] = int(item.id)
    return numbers


def recall_of(contender: Contender, queries: Vectors, true: Numbers, width: int) -> float:
    """The share of the true ten that it finds."""
    found = contender.search(queries, width)
    shared = [len(set(map(int, row)) & set(best)) for row, best in zip(found, true.tolist(), strict=True)]
    return sum(shared) / true.size


def tune(contender: Contender, queries: Vectors, true: Numbers, wanted: float) -> None:
    """The narrowest width that finds enough, within an eighth."""
    low, high = 0, 8 if contender.widths else 0
    while contender.widths and recall_of(contender, queries, true, high) < wanted and high < 4096:
        low, high = high, 2 * high
    for _ in range(3):
        middle = (low + high) // 2
        if low < middle < high and recall_of(contender, queries, true, middle) >= wanted:
            high = middle
        else:
            low = middle
    contender.width = high


def time_it(contender: Contender, queries: Vectors) -> None:
    """Milliseconds of a query: the median of single ones, and in batches."""
    alone = []
    for query in queries:
        started = time.perf_counter()
        contender.search(query[None], contender.width)
        alone.append(time.perf_counter() - started)
    contender.alone.append(1000 * statistics.median(alone))
    together = []
    for start in range(0, len(queries) - BATCH + 1, BATCH):
        started = time.perf_counter()
        contender.search(queries[start : start + BATCH], contender.width)
        together.append(time.perf_counter() - started)
    contender.together.append(1000 * statistics.median(together) / BATCH)


def _ratios(base: list[float], mine: list[float]) -> str:
    ratios = [theirs / ours for theirs, ours in zip(base, mine, strict=True)]
    return f"{statistics.median(ratios):6.1f}x ({min(ratios):.1f}-{max(ratios):.1f})"


def main() -> None:
    """Build, tune, take turns, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--embeddings", type=Path, help="an .npz of `hdhe embed`; made-up clusters without it"
    )
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1024, help="half of them to tune on")
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    vectors, queries, source = embeddings(options.embeddings, options.items, options.size, options.queries)
    half = len(queries) // 2
    tuned_on, timed_on = queries[:half], queries[half:]
    print(machine("faiss", "usearch", "hnswlib", "milvus-lite", "numpy"))
    print(
        f"{len(vectors):,} x {vectors.shape[1]}, {source}; {half} queries to tune on, {len(timed_on)} to time"
    )
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        built: list[Contender] = []
        exact = faiss.IndexFlatIP(vectors.shape[1])
        exact.add(vectors)
        to_tune, to_time = exact.search(tuned_on, K)[1], exact.search(timed_on, K)[1]
        del exact
        for contender in contenders(vectors, Path(home), options.recall, stack):
            tune(contender, tuned_on, to_tune, options.recall)
            contender.recall = recall_of(contender, timed_on, to_time, contender.width)
            print(f"{contender.name} is built, in {contender.seconds:.1f} s, and tuned", flush=True)
            built.append(contender)
        for number in range(options.rounds + 1):
            # Every other round backwards: nobody always comes first. The first one warms up.
            for contender in built if number % 2 == 0 else built[::-1]:
                time_it(contender, timed_on)
        print(f"\n{'':<28}{'width':>6}{'recall@10':>10}{'built in s':>11}", end="")
        print(f"{'1 query, ms':>12}  {'times flat (range)':<22}{'in 64, ms':>10}  {'times flat (range)':<22}")
        flat = built[0]
        for each in built:
            alone, together = each.alone[1:], each.together[1:]
            print(f"{each.name:<28}{each.width or '-':>6}{each.recall:>10.4f}{each.seconds:>11.1f}", end="")
            print(f"{statistics.median(alone):>12.3f}  {_ratios(flat.alone[1:], alone):<22}", end="")
            print(f"{statistics.median(together):>10.3f}  {_ratios(flat.together[1:], together):<22}")
        whole, index = built[1], built[3]
        for what, ours, theirs in (
            ("one query", whole.alone, index.alone),
            ("64 queries", whole.together, index.together),
        ):
            over = [a / b - 1 for a, b in zip(ours[1:], theirs[1:], strict=True)]
            print(f"the collection over its index, {what}: {statistics.median(over):+.1%}", end="")
            print(f" ({min(over):+.1%} to {max(over):+.1%})")


if __name__ == "__main__":
    main()
