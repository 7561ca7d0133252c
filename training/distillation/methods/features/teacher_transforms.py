"""What of a teacher's feature a student is to learn: the teacher transforms T_t.

Maps are float[n, c, h, w], float32 or float64. A teacher's feature has no gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from retrieval.errors import UserError
from retrieval.networks.taps import Tap
from training.collectives import sum_over_processes
from training.distillation.methods.features.attention import Attention
from training.distillation.methods.features.paraphraser import Paraphraser
from training.setting import Settings

# Heo et al.'s code: where fewer than this share of responses is negative, their mean says little.
_FEW = 1e-3


class Binarise(nn.Module):
    """1 where a neuron fires, 0 elsewhere (AB: Heo et al., AAAI 2019): keeps the boundary and forgets the values."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map to map."""
        return (maps > 0).to(maps.dtype)


class MarginReLU(nn.Module):
    """max(F, m) with a margin m <= 0 for each channel (OFD: Heo et al., ICCV 2019, eq. 2): positive responses stay,
    and how negative a response is counts no further than m, below which a ReLU loses it anyway.

    margins: float[c], a buffer.
    """

    margins: Tensor

    def __init__(self, margins: Tensor) -> None:
        super().__init__()
        self.register_buffer("margins", margins)

    def forward(self, maps: Tensor) -> Tensor:
        """Map to map."""
        return torch.maximum(maps, self.margins[:, None, None])


class RunningMarginReLU(MarginReLU):
    """Margin ReLU whose margins are the mean of all negative responses seen in training, for teachers without a batch
    norm before the ReLU (the authors' advice for those).

    In training mode a batch counts before it is transformed. A channel that was never negative has the margin 0.
    `margins` and `counts` (int64[c], responses counted) are buffers, so a resumed run goes on with them.
    """

    counts: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(torch.zeros(channels))
        self.register_buffer("counts", torch.zeros(channels, dtype=torch.int64))

    def forward(self, maps: Tensor) -> Tensor:
        """Map to map."""
        if self.training:
            self._count(maps.detach())
        return super().forward(maps)

    def _count(self, maps: Tensor) -> None:
        counts = sum_over_processes((maps < 0).sum((0, 2, 3)))
        sums = sum_over_processes(maps.clamp(max=0).sum((0, 2, 3)))
        self.counts += counts
        self.margins += (sums - counts * self.margins) / self.counts.clamp(min=1)


def batch_norm_margins(gamma: Tensor, beta: Tensor) -> Tensor:
    """Expected negative response of a channel that a batch norm makes normal with mean beta and deviation |gamma|.

    gamma, beta: float[c]. Returns float[c] of gamma's dtype, computed in float64:
    E[x | x < 0] = beta - |gamma| phi(beta / |gamma|) / Phi(-beta / |gamma|), phi and Phi being the standard normal's
    density and distribution (Heo et al., ICCV 2019, supplement; authors' code), and -3 |gamma| where the share
    Phi(-beta / |gamma|) of negative responses is 0.001 or less. A channel with gamma = 0 is constant: its margin is
    beta, or 0 where that is positive.
    """
    spread, centre = gamma.detach().double().abs(), beta.detach().double()
    ratio = centre / spread.clamp(min=1e-12)
    density = torch.exp(-0.5 * ratio.square()) / (2 * torch.pi) ** 0.5
    share = torch.special.ndtr(-ratio)
    mean = centre - spread * density / share.clamp(min=_FEW)
    return torch.where(share <= _FEW, -3 * spread, mean).to(gamma.dtype)


def _margin_relu(tap: Tap, settings: Settings, choices: Mapping[str, str]) -> nn.Module:
    if choices["margins"] == "running":
        return RunningMarginReLU(tap.channels)
    if tap.norm is None or not tap.norm.affine:
        raise UserError(
            f"the teacher has no batch norm at {tap.name} to take margins from; set margins to running"
        )
    return MarginReLU(batch_norm_margins(tap.norm.weight, tap.norm.bias))


TEACHER_TRANSFORMS: dict[str, Callable[[Tap, Settings, Mapping[str, str]], nn.Module]] = {
    "none": lambda tap, settings, choices: nn.Identity(),
    "relu": lambda tap, settings, choices: nn.ReLU(),
    "attention": lambda tap, settings, choices: Attention(),
    "margin_relu": _margin_relu,
    "binarise": lambda tap, settings, choices: Binarise(),
    "paraphraser": lambda tap, settings, choices: Paraphraser(tap.channels, float(settings["rate"])),
}
"""The teacher transforms that a recipe can name, built for a teacher's tap from a method's settings and choices."""
