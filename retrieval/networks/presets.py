"""Named networks, on any backbone.

What Ro & Choi published (HDhE, IEEE Access 2020; AutoLR, AAAI 2021) is told apart from what is inferred here. The
ensembles they are compared with stand in `compared_presets`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from retrieval.errors import NetworkError
from retrieval.networks.backbones import backbone_row
from retrieval.networks.compared_presets import a_bier, abe_8, dreml, hdc
from retrieval.networks.pruning import pruned_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec

_FIRST_HEAD = HeadSpec("res4_last", stride=1, reduction="penultimate+", lr=0.5)
_SECOND_HEAD = HeadSpec("res4_1", stride=1, reduction="penultimate+", lr=4.0)
_THIRD_HEAD = HeadSpec("res4_2", stride=1, reduction="penultimate+", lr=2.0)

# AutoLR prunes ResNet-50 until block 15, which leaves 14 of 16; other depths keep the same share.
_KEPT_SHARE = 14 / 16


def single(backbone: str) -> EnsembleSpec:
    """The whole backbone as one head at its own stride: the baseline of both papers."""
    return EnsembleSpec(backbone, share_until="B3", heads=(HeadSpec(),))


def pruned(backbone: str) -> EnsembleSpec:
    """The backbone without its last blocks: `until 15` of AutoLR on the 16 blocks of ResNet-50.

    The papers prune ResNet-50 only. Elsewhere 14/16 of the blocks are kept, rounded, and at least the first block of
    B4: without it AutoLR's recall fell by 16 points.
    """
    row = backbone_row(backbone)
    kept = max(round(_KEPT_SHARE * sum(row.blocks)), sum(row.blocks[:3]) + 1)
    return pruned_spec(single(backbone), kept + 1)


def hdhe(backbone: str) -> EnsembleSpec:
    """Two heads of different depth and learning rate above B2, as published in paper and code."""
    return EnsembleSpec(backbone, share_until="B2", heads=(_FIRST_HEAD, _SECOND_HEAD))


def ms_hdhe(backbone: str) -> EnsembleSpec:
    """The memory-saving variant: `hdhe` that shares B3 too.

    Inferred: the paper's settings of this row are not known; sharing until B3 is an alternative left in the
        code.
    """
    return EnsembleSpec(backbone, share_until="B3", heads=(_FIRST_HEAD, _SECOND_HEAD))


def tri_hdhe(backbone: str) -> EnsembleSpec:
    """Three heads above B2.

    Inferred: the code has the class without the settings of its third head; the depth and the learning rate
    between those of the other two are a guess.
    """
    return EnsembleSpec(backbone, share_until="B2", heads=(_FIRST_HEAD, _SECOND_HEAD, _THIRD_HEAD))


def best(backbone: str) -> EnsembleSpec:
    """Two heads above B3 that end early in B4, both pooled by average plus maximum: what this project found to retrieve
    best at the cost of `hdhe`. It is so cheap that it may see larger images for the same work: 176 pixels for 128 on
    EfficientNet-Lite0, where it was found, 256 for 224 on ResNet-50. On other backbones it is untried.
    """
    heads = (replace(_THIRD_HEAD, lr=0.5), _SECOND_HEAD)
    return EnsembleSpec(
        backbone, share_until="B3", heads=tuple(replace(head, pool="avg+max") for head in heads)
    )


_TABLE: dict[str, Callable[[str], EnsembleSpec]] = {
    "single": single,
    "pruned": pruned,
    "hdhe": hdhe,
    "ms-hdhe": ms_hdhe,
    "tri-hdhe": tri_hdhe,
    "best": best,
    "hdc": hdc,
    "a-bier": a_bier,
    "abe-8": abe_8,
    "dreml": dreml,
}

PRESETS: tuple[str, ...] = tuple(_TABLE)


def preset_spec(preset: str, backbone: str) -> EnsembleSpec:
    """The spec of a preset on a backbone. Raises NetworkError when either is unknown."""
    if preset not in _TABLE:
        raise NetworkError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
    backbone_row(backbone)
    return _TABLE[preset](backbone)
