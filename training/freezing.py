"""Freezing the low end of the trunk: no gradient reaches it and its batch-norm statistics stay as they are.

The backward pass ends above the frozen part, which saves most of the time that the large maps at the network's
entrance cost.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def freeze(parts: Sequence[nn.Module]) -> None:
    """Stop the parts' parameters from learning. `hold` must follow every call of train()."""
    for part in parts:
        part.requires_grad_(False)
    hold(parts)


def hold(parts: Sequence[nn.Module]) -> None:
    """Put the parts into eval mode, so that batch norm uses the statistics it has and does not update them."""
    for part in parts:
        part.eval()


def norms(network: Ensemble) -> list[nn.Module]:
    """The batch norms that came with the backbone's weights."""
    new = {id(parameter) for parameter in network.new_parameters()}
    return [
        module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d) and not any(id(p) in new for p in module.parameters())
    ]


def only_new_layers(network: Ensemble, frozen: Sequence[nn.Module], *, on: bool) -> None:
    """Let only the layers learn that did not come with the weights, or all again but the `frozen` parts.

    While on, the backbone's batch norms are held too: the new layers see what the weights were trained to give. Must
    follow every call of train().
    """
    new = {id(parameter) for parameter in network.new_parameters()}
    fixed = {id(parameter) for part in frozen for parameter in part.parameters()}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in new if on else id(parameter) not in fixed)
    if on:
        hold(norms(network))
