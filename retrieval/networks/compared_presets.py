"""The ensembles that HDhE is compared with, as far as they are networks: on any backbone, with one trunk.

All papers but DREML use GoogLeNet, whose stages 4 and 5 stand for B3 and B4 here. Their linear layers have no batch
normalisation behind them, and their embeddings weigh the heads by size or by boosting; here all heads weigh the same.
What the heads are trained with is no part of a network.
"""

from __future__ import annotations

from retrieval.networks.backbones import backbone_row
from retrieval.networks.spec import EnsembleSpec, HeadSpec


def hdc(backbone: str) -> EnsembleSpec:
    """Three heads of 128 numbers at the start and near the end of B3 and at the end of B4.

    Yuan et al., "Hard-Aware Deeply Cascaded Embedding", ICCV 2017: behind GoogLeNet's modules 4a, 4d (of 4a to 4e)
    and 5b. There the heads are branches of one network; here each has its own copy of what lies above B2.
    """
    blocks = backbone_row(backbone).blocks[2]
    ends = ("res3_1", f"res3_{max(2, round(0.8 * blocks))}", "res4_last")
    heads = tuple(HeadSpec(end, reduction="linear", size=128) for end in ends)
    return EnsembleSpec(backbone, share_until="B2", heads=heads)


def a_bier(backbone: str) -> EnsembleSpec:
    """The whole backbone once, and three linear layers on its feature.

    Opitz et al., "Deep Metric Learning with BIER", PAMI 2018: groups of 170, 342 and 512 numbers.
    """
    heads = tuple(HeadSpec(reduction="linear", size=size) for size in (170, 342, 512))
    return EnsembleSpec(backbone, share_until="B3", heads=heads, tied=True)


def abe_8(backbone: str) -> EnsembleSpec:
    """Eight masks on the map behind B2; all that follows is shared, up to a linear layer of 64 numbers.

    Kim et al., "Attention-based Ensemble for Deep Metric Learning", ECCV 2018: 512 numbers in all, masks behind
    GoogLeNet's pool3. Here the map is the one before that pooling's stride, and the masks' networks are smaller.
    """
    head = HeadSpec(reduction="linear", size=64, attention=True)
    return EnsembleSpec(backbone, share_until="B2", heads=(head,) * 8, tied=True, tied_linear=True)


def dreml(backbone: str) -> EnsembleSpec:
    """Twelve heads of 12 numbers above B3.

    Xuan et al., "Deep Randomized Ensembles for Metric Learning", ECCV 2018: twelve networks in the authors' script, up
    to 48 in the paper, that share nothing. Here they share their trunk, because twelve networks are rarely affordable.
    """
    head = HeadSpec(reduction="linear", size=12)
    return EnsembleSpec(backbone, share_until="B3", heads=(head,) * 12)
