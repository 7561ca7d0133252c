"""Wide residual networks WRN-d-k (Zagoruyko & Komodakis, BMVC 2016): pre-activation blocks, k times as wide."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from retrieval.networks.cifar.parts import STEM_CHANNELS, cifar_parts, convolution
from retrieval.networks.classifier_parts import ClassifierParts


class WideBlock(nn.Module):
    """BN, ReLU, 3x3 convolution, twice; added to the input, or to a 1x1 convolution of what the first one sees.

    The paper's B(3,3) without dropout. The sum leaves the block without batch norm or ReLU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = convolution(inputs, outputs, stride=stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = convolution(inputs, outputs, 1, stride) if inputs != outputs or stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """x: float[n, inputs, h, w] to float[n, outputs, ceil(h / stride), ceil(w / stride)]."""
        active = self.relu(self.bn1(x))
        residual: Tensor = self.conv2(self.relu(self.bn2(self.conv1(active))))
        # Where the shape changes, the shortcut sees the activation, as in the authors' code.
        return residual + (x if self.shortcut is None else self.shortcut(active))


def wide_resnet(depth: int, width: int) -> ClassifierParts:
    """WRN-depth-width. depth: 6n + 4, with n blocks in each of three groups of 16, 32 and 64 x width channels."""
    groups: list[list[nn.Module]] = []
    channels = STEM_CHANNELS
    for index in range(3):
        group: list[nn.Module] = []
        for block in range((depth - 4) // 6):
            outputs = 16 * 2**index * width
            group.append(WideBlock(channels, outputs, stride=2 if index > 0 and block == 0 else 1))
            channels = outputs
        groups.append(group)
    tail = nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True)))
    return cifar_parts(convolution(3, STEM_CHANNELS), tuple(groups), tail, channels)
