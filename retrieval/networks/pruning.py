"""Layer-wise pruning: a network of one head without its last blocks.

Source: Ro & Choi, AutoLR (AAAI 2021): "prune until k" takes away the blocks k..N, numbered from the input.
"""

from __future__ import annotations

from dataclasses import replace

from retrieval.errors import NetworkError
from retrieval.networks.backbone import GROUPS
from retrieval.networks.backbones import backbone_row
from retrieval.networks.spec import EnsembleSpec
from retrieval.networks.spec_check import SHARED_GROUPS


def deepest_block(spec: EnsembleSpec) -> int:
    """The number, from the input, of the last block that any head keeps."""
    row = backbone_row(spec.backbone)
    return max(row.number(*row.locate(head.last_block)) for head in spec.heads)


def kept_blocks(spec: EnsembleSpec) -> int:
    """How many blocks lie between the input and the feature of a network with one head. Raises NetworkError."""
    if len(spec.heads) != 1:
        raise NetworkError(
            f"prune_until needs a network of one head, and this one has {len(spec.heads)}: use the preset single or "
            "pruned, or cut each head by its last_block"
        )
    return deepest_block(spec)


def pruned_spec(spec: EnsembleSpec, k: int) -> EnsembleSpec:
    """The spec without blocks k..N, where N is the number of blocks that it keeps now; k = N + 1 changes nothing.

    All of B1 and at least one block of B2 stay, since a head stands above the trunk; where the head loses its own last
    group, the trunk gives one up to it. Pooling, stride of the last group and reduction stay as they are. Raises
    NetworkError for several heads and for k out of range.
    """
    kept = kept_blocks(spec)
    row = backbone_row(spec.backbone)
    lowest = row.blocks[0] + 2
    if not lowest <= k <= kept + 1:
        raise NetworkError(
            f"prune_until must be from {lowest} to {kept + 1} for the {kept} blocks of this {spec.backbone}; got {k}"
        )
    if k == kept + 1:
        return spec
    last_block = row.block_name(k - 1)
    group, _ = row.locate(last_block)
    share_until = SHARED_GROUPS[min(GROUPS.index(spec.share_until), group - 1)]
    return replace(spec, share_until=share_until, heads=(replace(spec.heads[0], last_block=last_block),))
