"""Which kind of index suits a collection, by building the candidates on its own vectors and measuring them.

Each candidate is built on a sample (on everything where that is little), tuned to the wanted recall by queries made of
what was kept back from it, and timed. The fastest that reaches the recall and fits the memory wins; of those nearly as
fast, the smallest. A sample is smaller than the whole: the times shown are what they come to for all items, by the law
of each structure (a scan takes time with n, an inverted file with its root, a graph with its logarithm). Recall has no
such law: items that are alike lie closer together in the whole, and a graph can lose its way among them. So what the
winner finds once it is built of everything is measured too, and if that is too little the next one wins.
"""

from __future__ import annotations

import math
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from indexes.errors import CollectionError
from indexes.faiss_index import FaissIndex
from indexes.index_building import MEASURED_K, Built, recall_at
from indexes.index_kinds import KINDS, IndexKind, bytes_per_item, keeps_vectors
from indexes.index_recall import NOBODY, TrueNeighbours
from indexes.index_training import training_size
from indexes.index_tuning import tuned
from indexes.item_rows import ItemRows
from indexes.outside_queries import group_size, query_count, with_groups
from indexes.reranking import nearest
from indexes.search_width import SearchWidth
from indexes.vector_rows import BATCH

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

CANDIDATES = ("flat", "sq8", "ivf-sq8", "hnsw-sq8", "ivf-rabitq", "hnsw")
_SAMPLE_FLOATS = 1 << 25
"""128 MiB of vectors: 65,536 of 512 numbers."""
_FEWEST_SAMPLED = 4000
_TIMED, _BATCH, _BATCHES = 50, 64, 3
_SECONDS = 600.0
"""After so long no further candidate is begun."""
_NEARLY = 1.2
"""So many times the time of the fastest is nearly as fast."""


@dataclass(frozen=True)
class Tried:
    """One candidate. keeps_vectors: beside the codes, to re-rank by. milliseconds: of a query alone, and of one in a
    batch. bytes: an item in memory. reason: why it was not measured, if it was not. whole_recall: what it reached when
    it was built of all items, if that was too little.
    """

    kind: str
    keeps_vectors: bool
    bytes: float
    recall: float | None = None
    milliseconds: float | None = None
    batch_milliseconds: float | None = None
    build_seconds: float | None = None
    visited: int = 0
    depth: int = 1
    reason: str | None = None
    whole_recall: float | None = None


@dataclass(frozen=True)
class Trial:
    """What was tried for a collection of so many items, on a sample; chosen: the kind that won."""

    items: int
    sample: int
    wanted: float
    memory: int
    chosen: str
    tried: tuple[Tried, ...]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """What `asdict` made of one."""
        return cls(**content | {"tried": tuple(Tried(**each) for each in content["tried"])})

    def suits(self, items: int, wanted: float, memory: int) -> bool:
        """Whether it answers this question too: nothing else is asked for, and the collection has not doubled."""
        same = (self.wanted, self.memory) == (wanted, memory)
        return same and self.items <= 2 * items and items < 2 * self.items

    def after_failure(self, recall: float) -> Self:
        """With what the chosen kind reached when it was built of all items, which is too little.

        Another is chosen if it was enough in the trial; a kind that comes back because all have failed stays.
        """
        (before,) = (each for each in self.tried if each.kind == self.chosen)
        tried = tuple(
            replace(each, whole_recall=recall) if each.kind == self.chosen else each for each in self.tried
        )
        if before.recall is None or before.recall < self.wanted or before.whole_recall is not None:
            return replace(self, tried=tried)
        return replace(self, tried=tried, chosen=_winner(tried, self.wanted).kind)


@dataclass(frozen=True)
class _Question:
    """items: for how many the index is to be. base: what each candidate holds; asked: queries, float32[q, d]."""

    rows: ItemRows
    connection: sqlite3.Connection
    items: int
    base: tuple[Keys, Vectors]
    asked: Vectors
    truth: TrueNeighbours
    wanted: float
    go_on: Callable[[], None]


def try_kinds(
    rows: ItemRows,
    connection: sqlite3.Connection,
    keys: Keys,
    *,
    wanted: float,
    memory: int,
    go_on: Callable[[], None],
) -> tuple[Trial, Built | None]:
    """Try CANDIDATES for the items of these keys. memory: bytes that the index may take.

    Also returns the winner itself where it was built of all rows. go_on: called now and then; what it raises gives up.
    Raises CollectionError if nothing fits the memory.
    """
    d = rows.settings.embedding_size
    size = min(len(keys), max(_SAMPLE_FLOATS // d, _FEWEST_SAMPLED))
    drawn = np.random.default_rng(0).permutation(keys)[:size]
    sample = rows.vectors(connection, np.sort(drawn))
    asked = np.sort(drawn[: query_count(size)])
    queries = sample[1][np.searchsorted(sample[0], asked)]
    kept = np.isin(sample[0], with_groups(asked, queries, [sample], group_size(size)))
    base, groups = (sample[0][~kept], sample[1][~kept]), (sample[0][kept], sample[1][kept])
    truth = TrueNeighbours(np.full(len(asked), NOBODY), queries, [base], MEASURED_K)
    question = _Question(rows, connection, len(keys), base, queries, truth, wanted, go_on)

    started, tried, best = time.monotonic(), list[Tried](), None
    for kind in (KINDS[name] for name in CANDIDATES):
        go_on()
        refined = keeps_vectors(kind, len(keys), d, memory=memory)
        size_of_item = bytes_per_item(kind, d, refined=refined)
        reason = None
        if len(keys) * size_of_item > memory:
            reason = "does not fit the memory"
        elif len(base[0]) < kind.fewest:
            reason = f"needs {kind.fewest:,} items to train"
        elif time.monotonic() - started > _SECONDS and any(each.reason is None for each in tried):
            reason = "no time was left"
        if reason is not None:
            tried.append(Tried(kind.name, refined, size_of_item, reason=reason))
            continue
        built, result = _measured(question, kind, refined, size_of_item)
        tried.append(result)
        if size == len(keys) and _winner(tried, wanted) is result:
            best = built
    chosen = _winner(tried, wanted).kind
    # A later one can take the place of what won in between without winning itself: it moves what is nearly as fast.
    if best is not None and best.index.kind.name != chosen:
        best = None
    if best is not None:
        best.index.add(*groups)
    return Trial(len(keys), size, wanted, memory, chosen, tuple(tried)), best


def _measured(
    question: _Question, kind: IndexKind, refined: bool, size_of_item: float
) -> tuple[Built, Tried]:
    keys, vectors = question.base
    started = time.monotonic()

    def batches() -> Iterator[tuple[Keys, Vectors]]:
        for start in range(0, len(keys), BATCH):
            question.go_on()
            yield keys[start : start + BATCH], vectors[start : start + BATCH]

    training = vectors[:: max(1, len(vectors) // max(1, training_size(kind, len(vectors))))]
    d = vectors.shape[1]
    index = FaissIndex.build(kind, d, training, batches(), items=len(keys), refined=refined)
    seconds = time.monotonic() - started
    at = recall_at(question.truth, question.rows, question.connection, index)

    def recall(width: SearchWidth) -> float:
        question.go_on()
        return at(width)

    width, reached = tuned(recall, kind, question.wanted)
    growth = _growth(kind, len(keys), question.items)
    alone = [_milliseconds(question, index, width, i, 1) for i in range(min(_TIMED, len(question.asked)))]
    together = [_milliseconds(question, index, width, 0, _BATCH) for _ in range(_BATCHES)]
    return Built(index, width, {MEASURED_K: round(reached, 4)}), Tried(
        kind.name,
        refined,
        round(size_of_item, 1),
        recall=round(reached, 4),
        milliseconds=round(growth * statistics.median(alone), 4),
        batch_milliseconds=round(growth * statistics.median(together), 4),
        build_seconds=round(seconds, 2),
        visited=width.visited,
        depth=width.depth,
    )


def _milliseconds(
    question: _Question, index: FaissIndex, width: SearchWidth, first: int, count: int
) -> float:
    """Of one query, when so many are searched for at once."""
    queries = question.asked[first : first + count]
    started = time.perf_counter()
    nearest(question.rows, index, width, question.connection, queries, MEASURED_K)
    return 1000 * (time.perf_counter() - started) / len(queries)


def _growth(kind: IndexKind, measured: int, items: int) -> float:
    """How many times over a search takes longer among all items than among those that were measured."""
    match kind.structure:
        case "scan":
            return items / measured
        case "lists":
            return math.sqrt(items / measured)
    return math.log(max(items, 2)) / math.log(max(measured, 2))


def _winner(tried: Sequence[Tried], wanted: float) -> Tried:
    done = [
        (each, _expected(each, tried), each.milliseconds)
        for each in tried
        if each.recall and each.milliseconds
    ]
    if not done:
        raise CollectionError(
            "no kind of index fits that memory; allow more with --memory, or name a kind with --index"
        )
    good = [(each, time) for each, recall, time in done if recall >= wanted]
    if not good:
        return max(done, key=lambda one: one[1])[0]
    fastest = min(time for _, time in good)
    return min((each for each, time in good if time <= _NEARLY * fastest), key=lambda each: each.bytes)


def _expected(candidate: Tried, tried: Sequence[Tried]) -> float:
    """Its recall among all items, by what is known: no more than the same structure reached there without codes."""
    if candidate.whole_recall is not None:
        return candidate.whole_recall
    limits = [
        each.whole_recall
        for each in tried
        if each.whole_recall is not None
        and KINDS[each.kind].structure == KINDS[candidate.kind].structure
        and not KINDS[each.kind].lossy
    ]
    return min([candidate.recall or 0.0, *limits])
