"""Parameter groups: which parameter learns at which rate.

A rate is the base rate x the factor of the parameter's head x the factor of its block. The shared trunk takes the
first head's factor, and a head's factor scales its classifier too (HDhE, IEEE Access 2020: 5e-4 for trunk and first
head, 4e-3 for the second, 5e-3 and 4e-2 for their classifiers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.nn import Parameter

from training.block_factors import block_factors
from training.learner import Learner
from training.sections.optimiser import OptimiserSection

STEM = 0
"""The number that a stem has among the blocks, which are counted from 1."""


@dataclass(frozen=True)
class RateGroup:
    """Parameters that share one rate. name: `trunk.stem`, `trunk.block3`, `head2.block14`, `head2.classifier`,
    `shared.classifier`. block: the block's number, 0 for the stem, None for what belongs to the loss.
    """

    name: str
    rate: float
    parameters: tuple[Parameter, ...]
    block: int | None = None

    def for_torch(self) -> dict[str, Any]:
        """As a parameter group of torch; `base_lr` is the rate before the schedule."""
        return {
            "params": list(self.parameters),
            "lr": self.rate,
            "base_lr": self.rate,
            "name": self.name,
            "block": self.block,
        }


def rate_groups(model: Learner, optimiser: OptimiserSection) -> list[RateGroup]:
    """One group per block and owner, in forward order, then what the objective learns for each head and for no one
    head, which takes the first head's factor; frozen parameters are left out.

    Raises UserError when the recipe's block factors do not match the network's blocks.
    """
    network = model.network
    blocks = network.parameter_blocks()
    factors = block_factors(optimiser.block_factors, max(block.block for block in blocks))
    heads = [head.lr for head in network.spec.heads]
    groups = []
    for block in blocks:
        owner = "trunk" if block.head is None else f"head{block.head + 1}"
        place = "stem" if block.block == STEM else f"block{block.block}"
        own = optimiser.stem_factor if block.block == STEM else factors[block.block - 1]
        rate = optimiser.lr * heads[block.head or 0] * own
        parameters = tuple(parameter for _, parameter in block.parameters)
        groups.append(RateGroup(f"{owner}.{place}", rate, parameters, block.block))
    for owner, factor, learned in _of_losses(model, heads):
        groups.append(RateGroup(f"{owner}.classifier", optimiser.classifier_lr * factor, tuple(learned)))
    learning = [
        RateGroup(group.name, group.rate, tuple(p for p in group.parameters if p.requires_grad), group.block)
        for group in groups
    ]
    return [group for group in learning if group.parameters]


def block_rates(groups: Sequence[RateGroup]) -> dict[int, float]:
    """The rate of each block, the stem being 0, in a network where a block has one owner (one head)."""
    return {group.block: group.rate for group in groups if group.block is not None}


def _of_losses(model: Learner, factors: list[float]) -> list[tuple[str, float, list[Parameter]]]:
    """What learns beside the network: its owner, the owner's factor, the parameters."""
    own = [model.objective.head_parameters(number) for number in range(len(factors))]
    shared = model.objective.shared_parameters(len(factors))
    heads = [f"head{number + 1}" for number in range(len(factors))]
    return [*zip(heads, factors, own, strict=True), ("shared", factors[0], shared)]
