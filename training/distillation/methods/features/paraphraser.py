"""Factors: a teacher's feature retold by a small auto-encoder, and a student's answer (FT).

Kim, Park & Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018; layers as in
the authors' code: 3x3 convolutions with bias, each followed by a LeakyReLU of slope 0.1, no batch norm.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def factor_channels(channels: int, rate: float) -> int:
    """Channels of a factor of a map of so many: the paper's rate k of them, at least one."""
    return max(1, int(channels * rate))


class Paraphraser(nn.Module):
    """Auto-encoder of the teacher's map; what lies between its halves is the teacher's factor.

    It learns before the student does, and from the teacher alone, so a factor holds what matters in the teacher
    whatever the student can express.
    """

    def __init__(self, channels: int, rate: float) -> None:
        super().__init__()
        inner = factor_channels(channels, rate)
        self.encoder = _encoder(channels, inner)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(inner, inner, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose2d(inner, channels, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps float[n, channels, h, w] to factors float[n, inner * h * w], unit vectors."""
        return unit_factor(self.encoder(maps))

    def reconstruction(self, maps: Tensor) -> Tensor:
        """Mean of |map - retold map|, a scalar: what the authors' code minimises in its first stage."""
        return F.l1_loss(self.decoder(self.encoder(maps)), maps)


class Translator(nn.Module):
    """The student's half: three convolutions from its map to a factor of the teacher's size.

    It takes the strain of speaking the teacher's language off the student, and is dropped with the paraphraser.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.encoder = _encoder(channels, factor)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps float[n, channels, h, w] to factors float[n, factor * h * w], unit vectors."""
        return unit_factor(self.encoder(maps))


def unit_factor(maps: Tensor) -> Tensor:
    """A map float[n, c, h, w] as one unit vector an image, float[n, c * h * w] (eq. 4); of zeros, zeros."""
    return F.normalize(maps.flatten(1))


def _encoder(channels: int, inner: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(channels, inner, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(inner, inner, 3, padding=1),
        nn.LeakyReLU(0.1),
    )
