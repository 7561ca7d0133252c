"""Freezing the low end of the trunk: no gradient reaches it and its batch-norm statistics stay as they are.

The backward pass ends above the frozen part, which saves most of the time that the large maps at the network's
entrance cost.
"""

from __future__ import annotations

from torch import nn

from retrieval.networks import Ensemble
from training.sections.network import FrozenGroup

_GROUPS = ("B1", "B2", "B3")


def frozen_parts(network: Ensemble, freeze_until: FrozenGroup) -> list[nn.Module]:
    """The parts of the trunk from its entrance up to and including `freeze_until`."""
    if freeze_until == "none":
        return []
    groups = () if freeze_until == "stem" else _GROUPS[: _GROUPS.index(freeze_until) + 1]
    return [network.trunk.stem, *(network.trunk.groups[group] for group in groups)]


def freeze(parts: list[nn.Module]) -> None:
    """Stop the parts' parameters from learning. `hold` must follow every call of train()."""
    for part in parts:
        part.requires_grad_(False)
    hold(parts)


def hold(parts: list[nn.Module]) -> None:
    """Put the parts into eval mode, so that batch norm uses the statistics it has and does not update them."""
    for part in parts:
        part.eval()
