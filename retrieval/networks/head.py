"""A head: its own copy of the groups above the trunk, cut as its spec says, pooled to a feature."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from retrieval.networks.backbone import GROUPS, Backbone, BackboneView, keep_resolution, output_channels
from retrieval.networks.spec import HeadSpec, Pool, SharedGroup

# Size of the feature behind `linear`: what `penultimate` gives on the ResNet-50 of the paper.
LINEAR_SIZE = 512

GEM_POWER = 3.0
GEM_FLOOR = 1e-6


class GeneralisedMean(nn.Module):
    """GeM pooling, (mean x^p)^(1/p) with a learned p that starts at 3 (Radenovic et al. 2019, eq. 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.full((1,), GEM_POWER))

    def forward(self, x: Tensor) -> Tensor:
        """x: float[n, c, h, w] to float32[n, c]; values below a small floor count as that floor."""
        # Cubes leave the range of half precision, so this runs in single.
        powers = x.float().clamp(min=GEM_FLOOR) ** self.power
        pooled: Tensor = powers.mean((2, 3)) ** (1.0 / self.power)
        return pooled


class SpatialPool(nn.Module):
    """Average, maximum, or their sum over all positions: float[n, c, h, w] to float[n, c]."""

    def __init__(self, kind: Pool) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """The two spatial axes are named, never squeezed, so that a batch of one stays a batch."""
        if self.kind == "avg":
            return x.mean((2, 3))
        if self.kind == "max":
            return x.amax((2, 3))
        return x.mean((2, 3)) + x.amax((2, 3))


class SoftMask(nn.Module):
    """The attention of one learner of an ensemble: a weight between 0 and 1 for every value of a map.

    Source: Kim et al., "Attention-based Ensemble for Deep Metric Learning", ECCV 2018. Theirs is a 1x1
    convolution and a sigmoid behind a second copy of GoogLeNet's modules 4a to 4e; here a 1x1 convolution with
    batch normalisation and ReLU stands for those, so that it is small and fits any backbone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: float[n, c, h, w] to its mask of the same shape."""
        mask: Tensor = self.layers(x)
        return mask


class Head(nn.Module):
    """From the trunk's map to one feature an image.

    attention: the soft mask on the trunk's map; None without.
    groups: the head's own groups by name (`B3`, `B4`), the last one cut and at the spec's stride.
    tail: the backbone's last convolution, where every block is kept whole; else the identity.
    reduction: linear layer and batch normalisation, for `linear`; else the identity.
    feature_size: length of the feature.

    own_blocks, own_reduction: False where another head's groups and tail, or linear layer, serve this one too; such a
    head has none, and cannot run by itself.
    """

    def __init__(
        self,
        spec: HeadSpec,
        backbone: Backbone,
        view: BackboneView,
        share_until: SharedGroup,
        *,
        own_blocks: bool = True,
        own_reduction: bool = True,
    ) -> None:
        super().__init__()
        entrance = view.channels[GROUPS.index(share_until)]
        self.attention = SoftMask(entrance) if spec.attention else None
        last_group, last_block = backbone.locate(spec.last_block)
        first_group = GROUPS.index(share_until) + 1
        self.groups = nn.ModuleDict()
        for group in range(first_group, last_group + 1):
            kept = view.groups[group] if group < last_group else view.groups[group][: last_block + 1]
            blocks = list(kept)
            if group == last_group and spec.cuts_last_block:
                blocks[-1] = view.penultimate(blocks[-1])
            if own_blocks:
                self.groups[GROUPS[group]] = deepcopy(nn.Sequential(*blocks))
        channels = output_channels(blocks[-1])
        if own_blocks and spec.stride == 1:
            keep_resolution(self.groups[GROUPS[last_group]])

        whole = backbone.number(last_group, last_block) == sum(backbone.blocks)
        self.tail: nn.Module = nn.Identity()
        if view.tail is not None and whole and not spec.cuts_last_block:
            channels = output_channels(view.tail)
            if own_blocks:
                self.tail = deepcopy(view.tail)

        self.pool: nn.Module = GeneralisedMean() if spec.pool == "gem" else SpatialPool(spec.pool)
        self.reduction: nn.Module = nn.Identity()
        if spec.reduction == "linear":
            size = spec.size or LINEAR_SIZE
            if own_reduction:
                self.reduction = _linear(channels, size)
            channels = size
        self.norm: nn.Module = nn.Identity()
        if spec.norm == "layer":
            self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.feature_size = channels

    def new_parameters(self) -> list[nn.Parameter]:
        """Those that no pretrained weights are loaded into: attention, the exponent of GeM, the linear layer."""
        parts = (self.attention, self.pool, self.reduction)
        return [parameter for part in parts if part is not None for parameter in part.parameters()]

    def mask(self, x: Tensor) -> Tensor:
        """The trunk's map float[n, c, h, w] as this head's blocks see it."""
        return x if self.attention is None else x * self.attention(x)

    def deepen(self, x: Tensor) -> Tensor:
        """A masked map float[n, c, h, w] to the map float[n, c', h', w'] that the pooling sees."""
        for group in self.groups.values():
            x = group(x)
        mapped: Tensor = self.tail(x)
        return mapped

    def feature_map(self, x: Tensor) -> Tensor:
        """The trunk's map float[n, c, h, w] to the map float[n, c', h', w'] that the pooling sees."""
        return self.deepen(self.mask(x))

    def forward(self, x: Tensor) -> Tensor:
        """The trunk's map float[n, c, h, w] to features float[n, feature_size], not L2-normalised."""
        feature: Tensor = self.norm(self.reduction(self.pool(self.feature_map(x))))
        return feature


def _linear(channels: int, size: int) -> nn.Module:
    """A linear layer and a batch normalisation, as the papers start their classifiers' hidden layers."""
    linear = nn.Linear(channels, size)
    nn.init.kaiming_normal_(linear.weight, mode="fan_out")
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.BatchNorm1d(size))
