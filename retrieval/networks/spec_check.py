"""Whether a spec fits its backbone, found out before anything is built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from retrieval.errors import NetworkError
from retrieval.networks.backbone import GROUPS, Backbone
from retrieval.networks.backbones import backbone_row
from retrieval.networks.spec import EnsembleSpec, HeadSpec, Norm, Pool, Reduction, SharedGroup

SHARED_GROUPS: tuple[SharedGroup, ...] = get_args(SharedGroup)
REDUCTIONS: tuple[str, ...] = get_args(Reduction)
POOLS: tuple[str, ...] = get_args(Pool)
NORMS: tuple[str, ...] = get_args(Norm)


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
        _check_choice(f"{field}.norm", head.norm, NORMS)
        _check_size(field, head)
    if spec.tied:
        _check_tied(spec, backbone)
    if spec.tied_linear:
        _check_tied_linear(spec)


def _check_size(field: str, head: HeadSpec) -> None:
    if head.size is None:
        return
    if head.reduction != "linear":
        raise NetworkError(
            f"{field}.size {head.size!r} needs reduction linear; with {head.reduction} the backbone decides"
        )
    if head.size < 1:
        raise NetworkError(f"{field}.size must be at least 1; got {head.size!r}")


def _check_tied(spec: EnsembleSpec, backbone: Backbone) -> None:
    """One copy of the groups must be right for every head."""
    first = spec.heads[0]
    for index, head in enumerate(spec.heads):
        for what, wanted, given in (
            ("last_block", backbone.locate(first.last_block), backbone.locate(head.last_block)),
            ("stride", first.stride, head.stride),
            ("reduction", first.cuts_last_block, head.cuts_last_block),
        ):
            if wanted != given:
                raise NetworkError(
                    f"tied heads share one copy of their blocks, but heads[{index}].{what} "
                    f"{getattr(head, what)!r} differs from {getattr(first, what)!r} of heads[0]; "
                    "make them equal or leave out tied"
                )


def _check_tied_linear(spec: EnsembleSpec) -> None:
    if not spec.tied:
        raise NetworkError("tied_linear needs tied: heads with blocks of their own keep their linear layers")
    for index, head in enumerate(spec.heads):
        if head.reduction != "linear" or head.size != spec.heads[0].size:
            raise NetworkError(
                f"tied_linear needs reduction linear of one size in all heads; heads[{index}] has "
                f"{head.reduction} of size {head.size}, heads[0] has size {spec.heads[0].size}"
            )


def _check_choice(field: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise NetworkError(f"{field} must be one of {', '.join(map(str, allowed))}; got {value!r}")
