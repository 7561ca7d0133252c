"""Maps of two sizes, brought to one before they are compared."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_smaller(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps float[n, c, h, w], of any channels each, at the smaller height and the smaller width of the two.

    The larger is average-pooled (adaptively, so that any ratio will do), as Zagoruyko & Komodakis do for attention
    maps (ICLR 2017, authors' code). Maps of the same size come back as they are.
    """
    height, width = min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3])
    return pooled(a, height, width), pooled(b, height, width)


def pooled(maps: Tensor, height: int, width: int) -> Tensor:
    """A map float[n, c, h, w] at another size, as `to_smaller` does it."""
    return maps if maps.shape[2:] == (height, width) else F.adaptive_avg_pool2d(maps, (height, width))
