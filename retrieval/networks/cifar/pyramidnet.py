"""PyramidNet-d(alpha) (Han, Kim & Kim, "Deep Pyramidal Residual Networks", CVPR 2017): wider with every block."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.networks.cifar.parts import STEM_CHANNELS, cifar_parts, convolution
from retrieval.networks.classifier_parts import ClassifierParts

# The paper's networks of up to 110 layers have basic blocks; those of 164 and more have bottlenecks.
DEEPEST_OF_BASIC_BLOCKS = 110

BOTTLENECK_EXPANSION = 4


class PyramidBlock(nn.Module):
    """A zero-padded pre-activation block: BN first, no ReLU behind it, and a BN at the end of the residual.

    The shortcut is the input, averaged over 2 x 2 pixels where the block halves the map, with zeros for the new
    channels. `bn2` is the batch norm in front of the block's first ReLU.

    inputs: channels of the map that comes in. width: those of the 3x3 convolution. stride: 1 or 2.
    """

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        self.stride = stride
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        if bottleneck:
            self.outputs = BOTTLENECK_EXPANSION * width
            self.conv1 = convolution(inputs, width, 1)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv2 = convolution(width, width, stride=stride)
            self.bn3 = nn.BatchNorm2d(width)
            self.conv3: nn.Module | None = convolution(width, self.outputs, 1)
            self.bn4: nn.Module | None = nn.BatchNorm2d(self.outputs)
        else:
            self.outputs = width
            self.conv1 = convolution(inputs, width, stride=stride)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv2 = convolution(width, width)
            self.bn3 = nn.BatchNorm2d(width)
            self.conv3 = self.bn4 = None
        self.new_channels = self.outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """x: float[n, inputs, h, w] to float[n, outputs, ceil(h / stride), ceil(w / stride)]."""
        residual: Tensor = self.bn3(self.conv2(self.relu(self.bn2(self.conv1(self.bn1(x))))))
        if self.conv3 is not None and self.bn4 is not None:
            residual = self.bn4(self.conv3(self.relu(residual)))
        shortcut = x if self.stride == 1 else F.avg_pool2d(x, 2, ceil_mode=True)
        return residual + F.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))


def pyramidnet(depth: int, alpha: int) -> ClassifierParts:
    """PyramidNet-depth(alpha): the width grows by alpha / N with each of the N blocks, from 16 (the paper's eq. 3).

    Widths are rounded as in the authors' code, where the paper writes a floor: so 110(84) and 200(240) have the 3.91
    and 26.84 million parameters that Heo et al. (ICCV 2019) state.

    depth: 6n + 2 up to 110 layers, of basic blocks; 9n + 2 beyond, of bottlenecks; n blocks in each of three groups.
    """
    bottleneck = depth > DEEPEST_OF_BASIC_BLOCKS
    count = (depth - 2) // (9 if bottleneck else 6)
    groups: list[list[nn.Module]] = []
    channels = STEM_CHANNELS
    for index in range(3):
        group: list[nn.Module] = []
        for block in range(count):
            width = round(STEM_CHANNELS + alpha * (index * count + block + 1) / (3 * count))
            stride = 2 if index > 0 and block == 0 else 1
            made = PyramidBlock(channels, width, stride, bottleneck=bottleneck)
            group.append(made)
            channels = made.outputs
        groups.append(group)
    stem = nn.Sequential(OrderedDict(conv1=convolution(3, STEM_CHANNELS), bn1=nn.BatchNorm2d(STEM_CHANNELS)))
    tail = nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True)))
    return cifar_parts(stem, tuple(groups), tail, channels)
