"""Where features are taken from a network, without changing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

Position = Literal["mid", "end", "pre_relu"]


@dataclass(frozen=True)
class Tap:
    """A place in a network. channels: of its map. norm: the batch norm that the map comes from; None without one."""

    name: str
    position: Position
    channels: int
    norm: nn.BatchNorm2d | None
