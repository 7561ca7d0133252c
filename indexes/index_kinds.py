"""The kinds of index as a table, and which one a collection gets when its user names none.

The reasoning behind `choose_kind`, at 512 dimensions on two cores: a flat scan reads 2 kB a vector, so 20,000
vectors take about 10 ms a query and are exact by construction. SQ8 reads a quarter of that and, re-ranked
with the stored vectors, misses practically nothing up to about a million. Beyond, only a graph or an inverted
file keeps a query under 100 ms, at a recall that depends on the data: it is measured and shown. A GPU scans
so fast that flat stays right until its memory is full.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import CollectionError


@dataclass(frozen=True)
class IndexKind:
    """One row of the table.

    exact_scores: FAISS's score is the inner product of the stored floats; otherwise candidates are re-ranked.
    fewest: vectors that it takes to train. spare: candidates fetched beyond k, as (factor of k, constant).
    effort: the width of a search to start with (efSearch, nprobe), 0 where there is none. removes: FAISS can
    remove from it. on_gpu: FAISS has it for a GPU.
    """

    name: str
    exact_scores: bool
    fewest: int
    spare: tuple[float, int]
    effort: int
    removes: bool
    on_gpu: bool

    def candidates(self, k: int) -> int:
        """How many to fetch so that, re-ranked, they hold the best k."""
        factor, constant = self.spare
        return k + int(max(factor * k, constant))


# 39 training vectors a centroid is where FAISS's clustering stops warning; ivf starts at 16 lists, ivfpq
# needs 256 centroids for its codes.
KINDS = {
    kind.name: kind
    for kind in (
        IndexKind("flat", True, 0, (0, 0), 0, removes=True, on_gpu=True),
        IndexKind("sq8", False, 256, (0.25, 16), 0, removes=True, on_gpu=False),
        IndexKind("hnsw", True, 0, (0, 0), 128, removes=False, on_gpu=False),
        IndexKind("ivf", True, 39 * 16, (0, 0), 16, removes=True, on_gpu=True),
        IndexKind("ivfpq", False, 39 * 256, (3, 100), 32, removes=True, on_gpu=True),
    )
}
AUTO = "auto"
CHOICES = (AUTO, *KINDS)

_FLAT_FLOATS = 20_000 * 512
_SQ8_FLOATS = 1_000_000 * 512
_HNSW_LINKS_BYTES = 2 * 32 * 4 + 16
"""A vertex of a graph with M = 32: twice that many links on the lowest level, and a little above."""


def check_choice(name: str) -> str:
    """The name, if it is one of CHOICES. Raises CollectionError."""
    if name not in CHOICES:
        raise CollectionError(f"index must be one of {', '.join(CHOICES)}; got {name!r}")
    return name


def choose_kind(
    choice: str, items: int, embedding_size: int, *, memory: int, gpu_memory: int | None = None
) -> IndexKind:
    """The kind for so many items. memory, gpu_memory: bytes of the machine and of the GPU, None without one.

    A kind that was named and needs more vectors to train than there are starts as flat.
    """
    if choice != AUTO:
        kind = KINDS[choice]
        return kind if items >= kind.fewest else KINDS["flat"]
    floats = items * embedding_size
    if gpu_memory is not None and 4 * floats <= gpu_memory // 2:
        return KINDS["flat"]
    if floats <= _FLAT_FLOATS or items < KINDS["sq8"].fewest:
        return KINDS["flat"]
    if floats <= _SQ8_FLOATS and floats <= memory // 2:
        return KINDS["sq8"]
    if 4 * floats + items * _HNSW_LINKS_BYTES <= memory // 2:
        return KINDS["hnsw"]
    return KINDS["ivfpq"] if items >= KINDS["ivfpq"].fewest else KINDS["sq8"]


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
