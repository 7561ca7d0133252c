"""Where a network looks: the attention map of a feature."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def attention_map(maps: Tensor) -> Tensor:
    """Mean over channels of the squares (Zagoruyko & Komodakis, ICLR 2017, authors' code).

    maps: float[n, c, h, w]. Returns float[n, h, w].
    """
    return maps.square().mean(1)


class Attention(nn.Module):
    """Spatial attention, for teacher and student alike (Zagoruyko & Komodakis, ICLR 2017, with the mean of squares of
    the authors' code for the paper's norm).

    maps: float[n, c, h, w]. Returns float[n, h * w], unit vectors: mean over channels of the squares, flattened. An
    image without any response has zeros. Keeps where something is and forgets what: networks of any widths compare
    without a connector, and the scale of a feature does not matter.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """As above."""
        return F.normalize(attention_map(maps).flatten(1))
