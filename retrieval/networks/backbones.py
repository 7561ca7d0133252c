"""The table of backbones. A new one is a family file with its rows, added to the sum below."""

from __future__ import annotations

from retrieval.errors import NetworkError
from retrieval.networks.backbone import Backbone
from retrieval.networks.efficientnet_lite import EFFICIENTNET_LITES
from retrieval.networks.mobilenet import MOBILENETS
from retrieval.networks.resnet import RESNETS

_ROWS = {row.name: row for row in (*RESNETS, *EFFICIENTNET_LITES, *MOBILENETS)}

BACKBONES: tuple[str, ...] = tuple(_ROWS)


def backbone_row(name: str) -> Backbone:
    """The row of a backbone's name. Raises NetworkError for an unknown one."""
    if name not in _ROWS:
        raise NetworkError(f"backbone must be one of {', '.join(BACKBONES)}; got {name!r}")
    return _ROWS[name]


def prune_until(backbone: str, k: int) -> str:
    """Name of the last block left without blocks k..N: `res4_1` for until 15 of ResNet-50's 16 blocks.

    k: number of the first block removed, from the input (Ro & Choi, AutoLR, AAAI 2021). At least one block
    of B2 must stay, since a head stands above the trunk, and B1 is always trunk; k = N + 1 removes nothing.
    Raises NetworkError.
    """
    row = backbone_row(backbone)
    lowest, highest = row.blocks[0] + 2, sum(row.blocks) + 1
    if not lowest <= k <= highest:
        raise NetworkError(f"prune until must be from {lowest} to {highest} for {backbone}; got {k}")
    return row.block_name(k - 1)
