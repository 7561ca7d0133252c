"""What the ReLU behind a block sees: the values whose signs say which neurons are active.

| block | `pre_relu` |
|---|---|
| ResNet, for CIFAR too (post-activation) | the sum of residual and shortcut in front of the block's last ReLU |
| wide ResNet (pre-activation) | the output of the next block's first batch norm, or of the one behind the last block |
| PyramidNet | the output of the batch norm behind the next block's first convolution, in front of its first ReLU (there is none in front of that convolution), or of the one behind the last block |
| MobileNet V1 | the output of the block's last batch norm |
| MobileNet V2, V3, EfficientNet-Lite (the block ends linearly) | the output of the batch norm behind the next block's expansion, or of the one in the tail; without either the block's own output |
| any block cut before its last convolution | the output of its last batch norm, behind which are an activation and, in MobileNet V3, squeeze-excitation |

These are the places of Heo et al. (AAAI 2019; ICCV 2019). "ReLU" stands for a family's activation, which is ReLU6 in
MobileNet V2 and EfficientNet-Lite and, in parts, Hardswish in MobileNet V3.
"""  # noqa: E501  (a table's row is one line)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from retrieval.networks.cifar.pyramidnet import PyramidBlock
from retrieval.networks.listening import Listener

Keep = Callable[[Tensor], None]


@dataclass(frozen=True)
class PreRelu:
    """How the values are had.

    norm: the batch norm that they come from. In a ResNet, and for an output that is linear, the shortcut is added to
        what comes from it; Heo et al. (ICCV 2019) take the ResNet's for its margins all the same.
    listen: to a forward pass, given where to keep the map float[n, norm.num_features, h, w], with its gradients. It is
        a copy wherever an activation in place would overwrite it.
    """

    norm: nn.BatchNorm2d
    listen: Callable[[Listener, Keep], None]


def pre_relu(block: nn.Module, follower: nn.Module | None) -> PreRelu:
    """Of a block's output. follower: the next block, or what stands behind the last one; None without."""
    if isinstance(block, BasicBlock):
        return PreRelu(cast(nn.BatchNorm2d, block.bn2), _into_last_call(block, block.relu, 2))
    if isinstance(block, Bottleneck):
        return PreRelu(cast(nn.BatchNorm2d, block.bn3), _into_last_call(block, block.relu, 3))
    if isinstance(block, nn.Sequential):
        # A plain chain ends in an activation: MobileNet V1's blocks, and the cut ones of all families.
        norm = _norms(block)[-1]
        return PreRelu(norm, _out_of(norm))
    if follower is None:
        return PreRelu(_norms(block)[-1], lambda listener, keep: listener.behind(block, keep))
    norm = follower.bn2 if isinstance(follower, PyramidBlock) else _norms(follower)[0]
    return PreRelu(norm, _out_of(norm))


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def _out_of(norm: nn.BatchNorm2d) -> Callable[[Listener, Keep], None]:
    """The activation behind the norm works in place, hence the copy."""
    return lambda listener, keep: listener.behind(norm, lambda x: keep(x.clone()))


def _into_last_call(block: nn.Module, relu: nn.Module, calls: int) -> Callable[[Listener, Keep], None]:
    """What goes into the last of the calls that a block makes of its one ReLU, which works in place."""

    def listen(listener: Listener, keep: Keep) -> None:
        made = 0

        def begin(_: Tensor) -> None:
            nonlocal made
            made = 0

        def count(x: Tensor) -> None:
            nonlocal made
            made += 1
            if made == calls:
                keep(x.clone())

        listener.before(block, begin)
        listener.before(relu, count)

    return listen
