"""Whether a spec fits its backbone, found out before anything is built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from retrieval.errors import NetworkError
from retrieval.networks.backbone import GROUPS
from retrieval.networks.backbones import backbone_row
from retrieval.networks.spec import EnsembleSpec, Pool, Reduction, SharedGroup

SHARED_GROUPS: tuple[SharedGroup, ...] = get_args(SharedGroup)
REDUCTIONS: tuple[str, ...] = get_args(Reduction)
POOLS: tuple[str, ...] = get_args(Pool)


def check_spec(spec: EnsembleSpec) -> None:
    """Raise NetworkError, naming the field, unless the network can be built."""
    backbone = backbone_row(spec.backbone)
    _check_choice("share_until", spec.share_until, SHARED_GROUPS)
    if not spec.heads:
        raise NetworkError("heads must hold at least one head")
    for index, head in enumerate(spec.heads):
        field = f"heads[{index}]"
        try:
            group, _ = backbone.locate(head.last_block)
        except NetworkError as error:
            raise NetworkError(f"{field}.{error}") from error
        if group <= GROUPS.index(spec.share_until):
            raise NetworkError(
                f"{field}.last_block {head.last_block!r} lies in the trunk, which is shared until "
                f"{spec.share_until}: share less or keep more blocks"
            )
        _check_choice(f"{field}.stride", head.stride, (1, 2))
        _check_choice(f"{field}.reduction", head.reduction, REDUCTIONS)
        _check_choice(f"{field}.pool", head.pool, POOLS)
        if not (math.isfinite(head.lr) and head.lr > 0):
            raise NetworkError(f"{field}.lr must be a positive number; got {head.lr!r}")


def _check_choice(field: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise NetworkError(f"{field} must be one of {', '.join(map(str, allowed))}; got {value!r}")
