"""Every backbone seen the same way: a stem and four groups of blocks, numbered 1..N from the input.

Nothing above this view knows which family a network comes from. A family file (`resnet.py`, `mobilenet.py`,
...) builds the published network and names its parts; presets, heads, pruning and per-block learning rates
stand on that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.transforms import IMAGENET_MEAN, IMAGENET_STD

GROUPS = ("B1", "B2", "B3", "B4")

Triple: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class BackboneView:
    """The parts of one built network.

    stem: images float[n, 3, h, w] to a map; output stride 2 or 4.
    groups: the blocks of B1..B4 in order; output strides 4, 8, 16, 32.
    tail: the convolution some families have behind their last block, kept only by heads that keep every
        block whole.
    penultimate: gives a block without its last convolution and its shortcut (the parts are shared, not
        copied).
    pixels: side of the square image the weights were trained for.
    mean, std: channel statistics of the pixels (scaled to 0..1) that the weights expect.
    hidden: the linear layer and its activation that some families have between the pooling and the published logits;
        classification networks alone keep it.
    """

    stem: nn.Module
    groups: tuple[list[nn.Module], ...]
    tail: nn.Module | None
    penultimate: Callable[[nn.Module], nn.Module]
    pixels: int
    mean: Triple
    std: Triple
    hidden: nn.Sequential | None = None

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the maps that leave B1..B4."""
        return tuple(output_channels(group[-1]) for group in self.groups)


@dataclass(frozen=True)
class Backbone:
    """One row of the table of backbones.

    blocks: how many blocks B1..B4 have.
    build: makes the published network with random weights; view: names its parts.
    imagenet: fetches the published ImageNet state dict (network access or an installed package).
    unused: prefixes of the keys of that state dict which belong to its classifier.
    logits: the key, without `.weight`, of the classifier's last layer. hidden: of the layer before it, where the view
        has one.
    rename: from a published key to ours.
    """

    name: str
    blocks: tuple[int, int, int, int]
    build: Callable[[], nn.Module]
    view: Callable[[nn.Module, Backbone], BackboneView]
    imagenet: Callable[[], dict[str, Tensor]]
    unused: tuple[str, ...]
    logits: str
    hidden: str | None = None
    rename: Callable[[str], str] = str
    pixels: int = 224
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    def locate(self, last_block: str) -> tuple[int, int]:
        """Group index 0..3 and block index within it (from 0) of a name such as `res4_1` or `res4_last`.

        Raises NetworkError when the name is not of that form or the backbone has no such block.
        """
        found = re.fullmatch(r"res([1-4])_(last|[0-9]{1,4})", last_block)
        if found is None:
            raise NetworkError(
                f"last_block must look like res4_1 or res4_last (groups res1 to res4); got {last_block!r}"
            )
        group = int(found[1]) - 1
        available = self.blocks[group]
        block = available if found[2] == "last" else int(found[2])
        if not 1 <= block <= available:
            raise NetworkError(
                f"last_block {last_block!r} does not exist: group {GROUPS[group]} of {self.name} has blocks "
                f"res{group + 1}_1 to res{group + 1}_{available}"
            )
        return group, block - 1

    def grouped(self, blocks: Iterable[nn.Module]) -> tuple[list[nn.Module], ...]:
        """All blocks, from the input on, as those of B1..B4."""
        remaining = iter(blocks)
        return tuple(list(islice(remaining, count)) for count in self.blocks)

    def number(self, group: int, block: int) -> int:
        """Number 1..N, from the input, of the block with these indices."""
        return sum(self.blocks[:group]) + block + 1

    def block_name(self, number: int) -> str:
        """`res4_1` for the block's number from the input; the inverse of `locate` followed by `number`."""
        for group, count in enumerate(self.blocks):
            if number <= count:
                return f"res{group + 1}_{number}"
            number -= count
        raise ValueError(f"{self.name} has {sum(self.blocks)} blocks")


def output_channels(block: nn.Module) -> int:
    """Channels that leave a block: those of its last batch normalisation, which every block of a backbone ends in.

    The blocks of wide ResNets end in a convolution that keeps them.
    """
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    return norms[-1].num_features


def keep_resolution(group: nn.Module) -> None:
    """Set every stride of a group to 1, in place: its output has its input's size.

    In a ResNet that touches the 3x3 convolution of the first block and, where still there, the 1x1 of its
    shortcut.
    """
    for module in group.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
