"""DREML: every head learns its own random, coarse classification.

Source: Xuan et al., "Deep Randomized Ensembles for Metric Learning", ECCV 2018, and the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from training.ensembles.joint_objective import JointObjective


class MetaClasses(JointObjective):
    """The sum over heads of a softmax over meta classes (DREML).

    Each head has its own random grouping of the classes into `meta_classes` groups, whose sizes differ by one at most.
    Its loss is the cross-entropy of `scale` times the cosines to one proxy per group. As in the authors' code, the
    proxies of a feature with as many numbers as there are groups are the axes and do not learn; for features of other
    sizes, which the authors do not have, they learn.

    groups: int64[heads, classes], the group of each class; a buffer, so that a resumed run keeps it.
    """

    groups: Tensor

    def __init__(
        self, feature_sizes: Sequence[int], classes: int, *, meta_classes: int, scale: float, seed: int
    ) -> None:
        super().__init__()
        self.scale = scale
        generator = torch.Generator().manual_seed(seed)
        orders = [torch.randperm(classes, generator=generator) for _ in feature_sizes]
        self.register_buffer("groups", torch.stack(orders) % meta_classes)
        self.proxies = nn.ModuleList(_Proxies(meta_classes, size) for size in feature_sizes)

    def compute(self, units: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """As every joint objective."""
        losses = []
        for unit, proxies, groups in zip(units, self.proxies, self.groups, strict=True):
            losses.append(F.cross_entropy(self.scale * proxies(unit), groups[labels]))
        return torch.stack(losses).sum()

    def head_parameters(self, head: int) -> list[Parameter]:
        """The head's proxies, where they learn."""
        return list(self.proxies[head].parameters())


class _Proxies(nn.Module):
    """Cosines between unit features float[n, size] and one direction per group: float[n, groups]."""

    def __init__(self, groups: int, size: int) -> None:
        super().__init__()
        self.learned = nn.Linear(size, groups, bias=False) if size != groups else None

    def forward(self, unit: Tensor) -> Tensor:
        # A unit feature's cosine to an axis is its coordinate.
        return unit if self.learned is None else F.linear(unit, F.normalize(self.learned.weight, dim=1))
