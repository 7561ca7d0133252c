"""ResNet-20, -32, -56, -110 for CIFAR (He et al., CVPR 2016, section 4.2): 6n + 2 layers, post-activation."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from retrieval.networks.cifar.parts import STEM_CHANNELS, cifar_parts, convolution
from retrieval.networks.classifier_parts import ClassifierParts


class PaddedShortcut(nn.Module):
    """The identity where a block halves the map: every second pixel, and zeros for the new channels (option A)."""

    def __init__(self, new_channels: int) -> None:
        super().__init__()
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        """x: float[n, c, h, w] to float[n, c + new_channels, ceil(h / 2), ceil(w / 2)]."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new_channels))


def cifar_resnet(depth: int) -> ClassifierParts:
    """ResNet-depth. depth: 6n + 2, with n basic blocks in each of three groups of 16, 32 and 64 channels."""
    groups: list[list[nn.Module]] = []
    channels = STEM_CHANNELS
    for index in range(3):
        group: list[nn.Module] = []
        for block in range((depth - 2) // 6):
            outputs = 16 * 2**index
            if index > 0 and block == 0:
                group.append(_basic_block(channels, outputs, 2, PaddedShortcut(outputs - channels)))
            else:
                group.append(_basic_block(channels, outputs, 1, None))
            channels = outputs
        groups.append(group)
    stem = nn.Sequential(
        OrderedDict(
            conv1=convolution(3, STEM_CHANNELS),
            bn1=nn.BatchNorm2d(STEM_CHANNELS),
            relu=nn.ReLU(inplace=True),
        )
    )
    return cifar_parts(stem, tuple(groups), None, channels)


def _basic_block(inputs: int, outputs: int, stride: int, shortcut: nn.Module | None) -> nn.Module:
    """The block of torchvision, with weights that start as those of the other networks here."""
    block: nn.Module = BasicBlock(inputs, outputs, stride, shortcut)
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return block
