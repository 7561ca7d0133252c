"""The kinds of index as a table, and which one a collection gets by size and memory alone.

The reasoning behind `choose_kind`, at 512 dimensions on two cores: a flat scan reads 2 kB a vector, so 20,000
vectors take about 10 ms a query and are exact by construction. SQ8 reads a quarter of that and, re-ranked
with the stored vectors, misses practically nothing up to about a million. Beyond, only a graph or an inverted
file keeps a query under 100 ms, at a recall that depends on the data: it is measured and shown. A GPU scans
so fast that flat stays right until its memory is full. From where flat ends, `index_trial` can do better than
these rules: it builds the candidates and measures them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexes.search_width import SearchWidth

Structure = Literal["scan", "graph", "lists"]
Codes = Literal["float32", "fp16", "sq8", "pq", "rabitq"]


@dataclass(frozen=True)
class IndexKind:
    """One row of the table.

    structure: how FAISS finds its way: past every vector, along a graph, or in the lists of an inverted file. codes:
    what it keeps of a vector; scores of anything but float32 are approximate, and candidates are re-ranked. fewest:
    vectors that it takes to train. spare: candidates fetched beyond k, as (factor of k, constant). visited: the width
    of a search to start with. on_gpu: FAISS has it for a GPU.
    """

    name: str
    structure: Structure
    codes: Codes
    fewest: int
    spare: tuple[float, int]
    visited: int
    on_gpu: bool

    @property
    def lossy(self) -> bool:
        """Whether FAISS's score is not the inner product of the stored floats."""
        return self.codes != "float32"

    @property
    def width(self) -> SearchWidth:
        """The width to start with."""
        return SearchWidth(self.visited)

    def candidates(self, k: int, width: SearchWidth) -> int:
        """How many to fetch so that, re-ranked, they hold the best k."""
        factor, constant = self.spare
        return k + width.depth * int(max(factor * k, constant))


# 39 training vectors a centroid is where FAISS's clustering stops warning; inverted files start at 16 lists, product
# quantisation needs 256 centroids for its codes.
_LISTS, _PRODUCT = 39 * 16, 39 * 256
KINDS = {
    kind.name: kind
    for kind in (
        IndexKind("flat", "scan", "float32", 0, (0, 0), 0, on_gpu=True),
        IndexKind("fp16", "scan", "fp16", 0, (0.1, 6), 0, on_gpu=True),
        IndexKind("sq8", "scan", "sq8", 256, (0.25, 16), 0, on_gpu=False),
        IndexKind("hnsw", "graph", "float32", 0, (0, 0), 128, on_gpu=False),
        IndexKind("hnsw-sq8", "graph", "sq8", 256, (0.25, 16), 128, on_gpu=False),
        IndexKind("ivf", "lists", "float32", _LISTS, (0, 0), 16, on_gpu=True),
        IndexKind("ivf-sq8", "lists", "sq8", _LISTS, (0.25, 16), 16, on_gpu=True),
        IndexKind("ivf-rabitq", "lists", "rabitq", _LISTS, (9, 90), 32, on_gpu=False),
        IndexKind("ivfpq", "lists", "pq", _PRODUCT, (3, 100), 32, on_gpu=True),
        IndexKind("cagra", "graph", "float32", 256, (0, 0), 128, on_gpu=True),
    )
}
AUTO = "auto"
CHOICES = (AUTO, *KINDS)

FLAT_FLOATS = 20_000 * 512
"""Up to here a flat scan answers at once, and nothing is measured."""
_SQ8_FLOATS = 1_000_000 * 512
_LINKS_BYTES = 2 * 32 * 4 + 16
"""A vertex of a graph with M = 32: twice that many links on the lowest level, and a little above."""
_CODE_BYTES = {"float32": 4.0, "fp16": 2.0, "sq8": 1.0, "pq": 0.125, "rabitq": 0.125}


def bytes_per_item(kind: IndexKind, embedding_size: int, *, refined: bool) -> float:
    """Memory of one item in an index. refined: with the vectors themselves beside the codes."""
    links = _LINKS_BYTES if kind.structure == "graph" else 8.0
    return links + 8 + embedding_size * (_CODE_BYTES[kind.codes] + (4 if refined else 0))


def choose_kind(
    choice: str, items: int, embedding_size: int, *, memory: int, gpu_memory: int | None = None
) -> IndexKind:
    """The kind for so many items. memory, gpu_memory: bytes that it may take there; gpu_memory is None without a GPU.

    A kind that was named and needs more vectors to train than there are starts as flat.
    """
    if choice != AUTO:
        kind = KINDS[choice]
        return kind if items >= kind.fewest else KINDS["flat"]
    floats = items * embedding_size
    if gpu_memory is not None and 4 * floats <= gpu_memory:
        return KINDS["flat"]
    if gpu_memory is not None and 2 * floats <= gpu_memory:
        return KINDS["fp16"]
    if floats <= FLAT_FLOATS or items < KINDS["sq8"].fewest:
        return KINDS["flat"]
    if floats <= _SQ8_FLOATS and floats <= memory:
        return KINDS["sq8"]
    for name in ("hnsw", "hnsw-sq8"):
        if items * bytes_per_item(KINDS[name], embedding_size, refined=False) <= memory:
            return KINDS[name]
    return KINDS["ivf-rabitq"] if items >= KINDS["ivf-rabitq"].fewest else KINDS["sq8"]


def keeps_vectors(kind: IndexKind, items: int, embedding_size: int, *, memory: int) -> bool:
    """Whether an index of a lossy kind has room for the vectors themselves, by which its candidates are re-ranked."""
    return kind.lossy and items * bytes_per_item(kind, embedding_size, refined=True) <= memory


def machine_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or less where its control group says so."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total
