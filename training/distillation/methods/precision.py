"""Terms compute in float32 whatever the networks use: small differences of similar numbers are what they live on."""

from __future__ import annotations

import torch
from torch import Tensor


def single(values: Tensor) -> Tensor:
    """Half types become float32; float32 and float64 stay."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def without_autocast(values: Tensor) -> torch.autocast:
    """A context in which matrix products keep the precision of their arguments, on the device of `values`."""
    return torch.autocast(values.device.type, enabled=False)
