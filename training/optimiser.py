"""From rates and a recipe to torch's optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.optim import Optimizer

from training.layer_rates import RateGroup
from training.sections.optimiser import OptimiserSection


def build_optimiser(groups: Sequence[RateGroup], section: OptimiserSection) -> Optimizer:
    """SGD, Adam or AdamW over the groups, each at its own rate, with the section's weight decay on all.

    Adam adds the decay to the gradient, AdamW takes it off the weight. Each group of the optimiser also carries its
    `name`, its `block` and `base_lr`, the rate before the schedule.
    """
    parameters = [group.for_torch() for group in groups]
    if section.kind == "sgd":
        return torch.optim.SGD(
            parameters,
            momentum=section.momentum,
            nesterov=section.nesterov,
            weight_decay=section.weight_decay,
        )
    adam = torch.optim.Adam if section.kind == "adam" else torch.optim.AdamW
    return adam(parameters, betas=section.betas, eps=section.eps, weight_decay=section.weight_decay)


def restart(optimiser: Optimizer, rates: Mapping[int, float]) -> None:
    """Make an optimiser of `build_optimiser` as good as new, with other rates before the schedule for these blocks.

    Momentum and whatever else it remembers are forgotten. Groups of blocks that are not named keep their rates.
    """
    optimiser.state.clear()
    for group in optimiser.param_groups:
        if group["block"] in rates:
            group["base_lr"] = rates[group["block"]]
