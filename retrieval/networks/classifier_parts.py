"""What a classification network is put together from, whatever family it is of."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from retrieval.networks.backbone import Triple


@dataclass(frozen=True)
class ClassifierParts:
    """The parts of one network, without the layer that gives the logits.

    stem: images float[n, 3, h, w] to the first map. groups: the blocks of B1, B2, ... in order.
    tail: what stands between the last block and the pooling: the last convolution of some families, the last batch
        norm and ReLU of pre-activation networks; None without.
    hidden: a linear layer and its activation between the pooling and the logits, in MobileNetV3; None elsewhere.
    feature_size: length of the vector that the logits are computed from.
    pixels, mean, std: as in `BackboneView`.
    """

    stem: nn.Module
    groups: tuple[list[nn.Module], ...]
    tail: nn.Module | None
    hidden: nn.Module | None
    feature_size: int
    pixels: int
    mean: Triple
    std: Triple
