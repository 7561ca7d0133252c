"""A network as data: which blocks each head keeps, and how far the heads share their trunk.

Source: Ro & Choi, "Heterogeneous Double-Head Ensemble for Deep Metric Learning" (IEEE Access 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reduction = Literal["none", "linear", "penultimate", "penultimate+"]
SharedGroup = Literal["B1", "B2", "B3"]
Pool = Literal["avg", "max", "gem", "avg+max"]
Norm = Literal["none", "layer"]


@dataclass(frozen=True)
class HeadSpec:
    """One head: its own copy of the groups above the shared trunk.

    last_block: the last block kept, as the papers write it: `res4_1` is the first block of group B4,
        `res4_3` the third; `res4_last` is the last one whatever the backbone, `res3_2` ends inside group
        B3.
    stride: stride of the head's last group, 1 or 2 (2 is the backbone's own).
    reduction: how the feature gets its size. `none` keeps the last block whole; `linear` adds a linear
        layer behind the pooling; `penultimate` and `penultimate+` cut the last block before its last
        convolution and drop its shortcut, so that the feature is the activation in the middle of the block.
    pool: spatial pooling.
    lr: factor on the recipe's learning rates for this head and its classifier.
    norm: of the feature behind pooling and reduction, before any loss or embedding sees it. `layer` takes away
        the feature's mean and divides by its deviation, with nothing learned.
    size: length of the feature behind `linear`; None stands for 512. No other reduction has a choice.
    attention: multiply the trunk's map by a soft mask of this head's own before the head's groups see it (Kim
        et al., "Attention-based Ensemble for Deep Metric Learning", ECCV 2018).
    """

    last_block: str = "res4_last"
    stride: int = 2
    reduction: Reduction = "none"
    pool: Pool = "avg"
    lr: float = 1.0
    norm: Norm = "none"
    size: int | None = None
    attention: bool = False

    @property
    def classifier_block(self) -> bool:
        """Whether training puts its throw-away hidden layer between this head's feature and the class logits.

        `none` and `penultimate+` train through such a block; `penultimate` and `linear` give their feature
        to the logits directly (for `linear`, its own layer takes the place of the block's first half). The
        authors' code has `penultimate+` only; that the two penultimate variants differ in just this is an
        inference from their slides.
        """
        return self.reduction in ("none", "penultimate+")

    @property
    def cuts_last_block(self) -> bool:
        """Whether the last block ends before its last convolution."""
        return self.reduction in ("penultimate", "penultimate+")


@dataclass(frozen=True)
class EnsembleSpec:
    """A shared trunk (stem up to and including group `share_until`) and any number of heads.

    backbone: a name of `retrieval.networks.backbones`.
    mirror: whether the embedding sums those of the image and of its horizontal mirror.
    tied: whether the heads share one copy of what lies above the trunk. Each then has only its attention,
        pooling and reduction for itself; all must be cut at one block, alike and at one stride. The shared copy
        belongs to the first head and learns at its rate.
    tied_linear: whether tied heads share the linear layer too, which must then be of one size. Their features lie
        in one space, and only attention and pooling tell the heads apart.
    whitened: length of the embedding behind a whitening layer (`whitening`), at most that of all features together;
        None: no such layer.
    """

    backbone: str
    share_until: SharedGroup = "B2"
    heads: tuple[HeadSpec, ...] = (HeadSpec(),)
    mirror: bool = True
    tied: bool = False
    tied_linear: bool = False
    whitened: int | None = None
