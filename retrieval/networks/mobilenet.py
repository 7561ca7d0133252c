"""MobileNetV3 small and large (Howard et al. 2019), torchvision's, weights IMAGENET1K_V1.

The groups end where the map is about to be halved, so the first group holds the blocks of output strides 2
and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torchvision.models import WeightsEnum, mobilenetv3
from torchvision.models.mobilenetv3 import InvertedResidual, MobileNetV3

from retrieval.networks.backbone import Backbone, BackboneView


def view(network: nn.Module, backbone: Backbone) -> BackboneView:
    """First convolution as stem, the inverted residuals as blocks, the last 1x1 convolution as tail."""
    net = cast(MobileNetV3, network)
    stem, *blocks, tail = net.features
    return BackboneView(
        stem=stem,
        groups=backbone.grouped(blocks),
        tail=tail,
        penultimate=penultimate,
        pixels=backbone.pixels,
        mean=backbone.mean,
        std=backbone.std,
        hidden=net.classifier[:2],
    )


def penultimate(block: nn.Module) -> nn.Module:
    """Expansion, depthwise convolution and squeeze-excitation, without the linear projection."""
    return cast(nn.Sequential, cast(InvertedResidual, block).block)[:-1]


def _row(
    name: str, blocks: tuple[int, int, int, int], build: Callable[[], MobileNetV3], weights: WeightsEnum
) -> Backbone:
    def imagenet() -> dict[str, Tensor]:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))

    return Backbone(
        name,
        blocks,
        build,
        view,
        imagenet,
        unused=("classifier.",),
        logits="classifier.3",
        hidden="classifier.0",
    )


MOBILENETS = (
    _row(
        "mobilenet_v3_small",
        (1, 2, 5, 3),
        mobilenetv3.mobilenet_v3_small,
        mobilenetv3.MobileNet_V3_Small_Weights.IMAGENET1K_V1,
    ),
    _row(
        "mobilenet_v3_large",
        (3, 3, 6, 3),
        mobilenetv3.mobilenet_v3_large,
        mobilenetv3.MobileNet_V3_Large_Weights.IMAGENET1K_V1,
    ),
)
