"""The index that Milvus builds over the vectors: which kinds there are, and what the search has to know of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexes.errors import CollectionError

Parameter = str | int | float | bool


@dataclass(frozen=True)
class IndexKind:
    """exact: it misses nothing. on_gpu: it needs a Milvus built for GPUs. width: the search parameter that must not be
    smaller than the number of neighbours asked for. neighbours: more than these it does not return.
    """

    exact: bool = False
    on_gpu: bool = False
    width: str | None = None
    neighbours: int = 16_384


KINDS: dict[str, IndexKind] = {
    "AUTOINDEX": IndexKind(),
    "FLAT": IndexKind(exact=True),
    "HNSW": IndexKind(width="ef"),
    "HNSW_SQ": IndexKind(width="ef"),
    "HNSW_PQ": IndexKind(width="ef"),
    "HNSW_PRQ": IndexKind(width="ef"),
    "IVF_FLAT": IndexKind(),
    "IVF_SQ8": IndexKind(),
    "IVF_PQ": IndexKind(),
    "IVF_RABITQ": IndexKind(),
    "SCANN": IndexKind(width="reorder_k"),
    "DISKANN": IndexKind(width="search_list"),
    "GPU_BRUTE_FORCE": IndexKind(exact=True, on_gpu=True),
    "GPU_CAGRA": IndexKind(on_gpu=True, width="itopk_size", neighbours=1024),
    "GPU_IVF_FLAT": IndexKind(on_gpu=True, neighbours=1024),
    "GPU_IVF_PQ": IndexKind(on_gpu=True, neighbours=1024),
}
"""By Milvus's own names (milvus.io/docs, "Vector index" and "GPU index"), with the limits that stand there; those of a
GPU differ between its versions, and what is beyond 1024 is computed here instead."""

_LEAST_WIDTH = 64


@dataclass(frozen=True)
class IndexChoice:
    """build: parameters for building (M, efConstruction, nlist, ...), search: for searching (ef, nprobe, ...), by
    Milvus's names; Milvus checks their values.
    """

    kind: str
    build: Mapping[str, Parameter]
    search: Mapping[str, Parameter]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CollectionError(f"index must be one of {', '.join(KINDS)}; got {self.kind!r}")

    @property
    def known(self) -> IndexKind:
        """What is known of the kind."""
        return KINDS[self.kind]

    def search_parameters(self, k: int) -> dict[str, Parameter]:
        """For a search of k neighbours."""
        parameters = dict(self.search)
        if (width := self.known.width) is not None:
            given = parameters.get(width, _LEAST_WIDTH)
            parameters[width] = max(given if isinstance(given, int) else _LEAST_WIDTH, k)
        return parameters
