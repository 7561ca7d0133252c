"""MobileNet (Howard et al. 2017, table 1): depthwise separable convolutions, ReLU behind each half.

4.23 million parameters with its 1000-class layer. torchvision has neither the network nor weights for it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import Backbone, BackboneView

STEM_CHANNELS = 32

# One row a block: output channels and stride of its depthwise convolution.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outputs), relu=nn.ReLU(inplace=True)))


def separable_convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A depthwise 3x3 convolution and a 1x1 convolution, each with batch normalisation and ReLU."""
    return nn.Sequential(
        OrderedDict(
            depthwise=convolution(inputs, inputs, 3, stride, groups=inputs),
            pointwise=convolution(inputs, outputs, 1),
        )
    )


class MobileNetV1(nn.Module):
    """Stem and 13 blocks; the 1000-class layer is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList()
        channels = STEM_CHANNELS
        for outputs, stride in BLOCKS:
            self.blocks.append(separable_convolution(channels, outputs, stride))
            channels = outputs


def view(network: nn.Module, backbone: Backbone) -> BackboneView:
    """The groups end where the map is about to be halved: with blocks 3, 5, 11 and 13."""
    net = cast(MobileNetV1, network)
    return BackboneView(
        stem=net.stem,
        groups=backbone.grouped(net.blocks),
        tail=None,
        penultimate=penultimate,
        pixels=backbone.pixels,
        mean=backbone.mean,
        std=backbone.std,
    )


def penultimate(block: nn.Module) -> nn.Module:
    """The depthwise half. There is no shortcut to drop."""
    return cast(nn.Sequential, block)[:-1]


def imagenet() -> dict[str, Tensor]:
    """There is nothing to fetch."""
    raise NetworkError(
        "torchvision has no ImageNet weights of mobilenet_v1; give the path of a state dict (.pth or .safetensors) as "
        "the weights instead, or train it from random ones"
    )


MOBILENET_V1 = Backbone(
    "mobilenet_v1",
    (3, 2, 6, 2),
    MobileNetV1,
    view,
    imagenet,
    unused=("classifier.",),
    logits="classifier",
)
