"""MobileNetV2 (Sandler et al., CVPR 2018), torchvision's, weights IMAGENET1K_V1: expansion, depthwise convolution and a
linear projection in each block. As in `mobilenet`, the groups end where the map is about to be halved.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torchvision.models import mobilenetv2
from torchvision.models.mobilenetv2 import InvertedResidual, MobileNetV2

from retrieval.networks.backbone import Backbone, BackboneView


def view(network: nn.Module, backbone: Backbone) -> BackboneView:
    """First convolution as stem, the inverted residuals as blocks, the last 1x1 convolution as tail."""
    stem, *blocks, tail = cast(MobileNetV2, network).features
    return BackboneView(
        stem=stem,
        groups=backbone.grouped(blocks),
        tail=tail,
        penultimate=penultimate,
        pixels=backbone.pixels,
        mean=backbone.mean,
        std=backbone.std,
    )


def penultimate(block: nn.Module) -> nn.Module:
    """Expansion and depthwise convolution, without the linear projection and its batch normalisation."""
    return cast(nn.Sequential, cast(InvertedResidual, block).conv)[:-2]


def imagenet() -> dict[str, Tensor]:
    """The state dict that torchvision publishes, downloaded."""
    weights = mobilenetv2.MobileNet_V2_Weights.IMAGENET1K_V1
    return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))


MOBILENET_V2 = Backbone(
    "mobilenet_v2",
    (3, 3, 7, 4),
    mobilenetv2.mobilenet_v2,
    view,
    imagenet,
    unused=("classifier.",),
    logits="classifier.1",
)
