"""How much each block of a network changed between two states of its weights.

Source: AutoLR (Ro & Choi, AAAI 2021). Measured are the kernels of the convolutions on a block's main path, no batch
norm and no shortcut: the three of a ResNet's bottleneck, the two of its basic block, and expansion, depthwise
convolution and projection of an inverted residual (MobileNet, EfficientNet-Lite). Squeeze-excitation and attention
weigh the path and are not on it, so they are left out, as is the convolution that some backbones have behind their
last block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from retrieval.errors import UserError
from retrieval.networks import Ensemble

SCALE = 1e6
"""The authors' factor, which brings the variations of an epoch to a readable size."""


def weight_variation(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """1e6 x the Euclidean distance between two states of the same kernels, over the number of their weights.

    The count is not under the root: of two blocks whose weights change alike, the one with n times as many weights
    varies by the root of n less.
    """
    squares = sum(
        float((new.double() - old.double()).square().sum()) for old, new in zip(before, after, strict=True)
    )
    return SCALE * math.sqrt(squares) / sum(kernel.numel() for kernel in before)


def block_kernels(network: Ensemble) -> dict[int, list[str]]:
    """The names, in the network's state dict, of the kernels on each block's main path; blocks numbered from 1.

    Raises UserError for a network with several heads, where a block has several copies.
    """
    if len(network.spec.heads) != 1:
        raise UserError(
            f"weight variation is measured along one chain of blocks, and this network has "
            f"{len(network.spec.heads)} heads; use network.preset single or pruned"
        )
    on_path = {
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and _in_a_block(name) and not _beside_the_path(network, name)
    }
    kernels = {
        block.block: [name for name, _ in block.parameters if name in on_path]
        for block in network.parameter_blocks()
    }
    return {block: names for block, names in kernels.items() if names}


def block_variations(
    network: Ensemble, before: Mapping[str, Tensor], after: Mapping[str, Tensor] | None = None
) -> dict[int, float]:
    """The weight variation of each block, by its number from 1.

    before, after: states of the network, by the names of its state dict; after None: as it is now. Raises UserError
    for a network with several heads.
    """
    now = network.state_dict() if after is None else after
    return {
        block: weight_variation([before[name] for name in names], [now[name] for name in names])
        for block, names in block_kernels(network).items()
    }


def _in_a_block(name: str) -> bool:
    """Not of the stem, tail or attention: blocks alone live in `trunk.groups.B1...` and `heads.0.groups.B4...`."""
    return ".groups." in f".{name}"


def _beside_the_path(network: Ensemble, name: str) -> bool:
    """Whether a convolution belongs to a projection on the shortcut or to a gate."""
    path = name.split(".")
    if "downsample" in path:
        return True
    return any(
        isinstance(network.get_submodule(".".join(path[:length])), SqueezeExcitation)
        for length in range(1, len(path))
    )
