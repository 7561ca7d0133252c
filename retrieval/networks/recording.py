"""What a forward pass goes through: the outputs of chosen blocks, the maps that heads pool, and their features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import GROUPS
from retrieval.networks.ensemble import Ensemble
from retrieval.networks.head import Head
from retrieval.networks.listening import listening


@dataclass(frozen=True)
class Record:
    """One forward pass.

    pooled: by head, the map float[n, c, h, w] that it pooled.
    features: by head, its feature float[n, d] before its norm.
    blocks: by block number, its outputs float[n, c, h, w]: the trunk's one, or one for each head that has the block
        (one for each pass through it where heads share their blocks).
    """

    pooled: dict[int, Tensor]
    features: dict[int, Tensor]
    blocks: dict[int, list[Tensor]]


@contextmanager
def recorded(network: Ensemble, blocks: Sequence[int]) -> Iterator[Record]:
    """Record the calling thread's forward pass; those of other threads through the same network are not seen.

    blocks: numbers 1..N from the input. Raises NetworkError for a block that no head has.
    """
    check_blocks(network, blocks)
    record = Record({}, {}, {block: [] for block in blocks})
    with listening() as listener:
        for index, module in enumerate(network.heads):
            head = cast(Head, module)
            listener.before(head.pool, partial(record.pooled.__setitem__, index))
            listener.before(head.norm, partial(record.features.__setitem__, index))
        for block in blocks:
            for module in _copies(network, block):
                listener.behind(module, record.blocks[block].append)
        yield record


def check_blocks(network: Ensemble, blocks: Sequence[int], head: int | None = None) -> None:
    """Raise NetworkError unless the head of this index (None: any head) has these blocks."""
    backbone = network.backbone
    chosen = network.spec.heads if head is None else network.spec.heads[head : head + 1]
    last = max(backbone.number(*backbone.locate(spec.last_block)) for spec in chosen)
    for block in blocks:
        if not 1 <= block <= last:
            owner = "the network" if head is None else f"head {head + 1}"
            raise NetworkError(f"there is no block {block}: {owner} has blocks 1 to {last}")


def _copies(network: Ensemble, block: int) -> list[nn.Module]:
    """The modules of a block: the trunk's, or one in each head that owns it."""
    group, index = network.backbone.locate(network.backbone.block_name(block))
    name = GROUPS[group]
    owners = [network.trunk.groups, *(cast(Head, head).groups for head in network.heads)]
    found = [cast(nn.Sequential, groups[name]) for groups in owners if name in groups]
    return [blocks[index] for blocks in found if index < len(blocks)]
