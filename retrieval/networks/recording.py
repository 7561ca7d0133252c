"""What a forward pass goes through: the outputs of chosen blocks, the maps that heads pool, and their features."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import GROUPS
from retrieval.networks.ensemble import Ensemble
from retrieval.networks.head import Head


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
    thread = threading.get_ident()
    handles = []

    def mine() -> bool:
        return threading.get_ident() == thread

    for index, module in enumerate(network.heads):

        def before_pooling(_: nn.Module, inputs: Any, index: int = index) -> None:
            if mine():
                record.pooled[index] = inputs[0]

        def before_norm(_: nn.Module, inputs: Any, index: int = index) -> None:
            if mine():
                record.features[index] = inputs[0]

        head = cast(Head, module)
        handles.append(head.pool.register_forward_pre_hook(before_pooling))
        handles.append(head.norm.register_forward_pre_hook(before_norm))
    for block in blocks:

        def behind_block(_: nn.Module, __: Any, output: Tensor, block: int = block) -> None:
            if mine():
                record.blocks[block].append(output)

        handles += [module.register_forward_hook(behind_block) for module in _copies(network, block)]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


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
