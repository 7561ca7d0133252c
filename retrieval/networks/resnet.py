"""ResNet-18 to ResNet-152 (He et al. 2016) as in torchvision: stride in the 3x3 convolution, V1 weights.

V1 and not V2: the newer training recipe gives better classifiers and worse retrieval features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torchvision.models import WeightsEnum, resnet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from retrieval.networks.backbone import Backbone, BackboneView


def view(network: nn.Module, backbone: Backbone) -> BackboneView:
    """Stem (7x7 convolution and max pooling) and layer1..layer4 as B1..B4."""
    net = cast(ResNet, network)
    return BackboneView(
        stem=nn.Sequential(
            OrderedDict(conv1=net.conv1, bn1=net.bn1, relu=net.relu, maxpool=net.maxpool),
        ),
        groups=tuple(list(layer) for layer in (net.layer1, net.layer2, net.layer3, net.layer4)),
        tail=None,
        penultimate=penultimate,
        pixels=backbone.pixels,
        mean=backbone.mean,
        std=backbone.std,
    )


def penultimate(block: nn.Module) -> nn.Module:
    """A bottleneck up to the ReLU behind its 3x3 convolution; a basic block up to its first ReLU."""
    if isinstance(block, BasicBlock):
        return nn.Sequential(OrderedDict(conv1=block.conv1, bn1=block.bn1, relu1=block.relu))
    bottleneck = cast(Bottleneck, block)
    return nn.Sequential(
        OrderedDict(
            conv1=bottleneck.conv1,
            bn1=bottleneck.bn1,
            relu1=nn.ReLU(inplace=True),
            conv2=bottleneck.conv2,
            bn2=bottleneck.bn2,
            relu2=nn.ReLU(inplace=True),
        )
    )


def _row(
    name: str, blocks: tuple[int, int, int, int], build: Callable[[], ResNet], weights: WeightsEnum
) -> Backbone:
    def imagenet() -> dict[str, Tensor]:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))

    return Backbone(name, blocks, build, view, imagenet, unused=("fc.",), logits="fc")


RESNETS = (
    _row("resnet18", (2, 2, 2, 2), resnet.resnet18, resnet.ResNet18_Weights.IMAGENET1K_V1),
    _row("resnet34", (3, 4, 6, 3), resnet.resnet34, resnet.ResNet34_Weights.IMAGENET1K_V1),
    _row("resnet50", (3, 4, 6, 3), resnet.resnet50, resnet.ResNet50_Weights.IMAGENET1K_V1),
    _row("resnet101", (3, 4, 23, 3), resnet.resnet101, resnet.ResNet101_Weights.IMAGENET1K_V1),
    _row("resnet152", (3, 8, 36, 3), resnet.resnet152, resnet.ResNet152_Weights.IMAGENET1K_V1),
)
