"""Parameter groups: which parameter learns at which rate.

A rate is the base rate x the factor of the parameter's head x the factor of its block. The shared trunk takes the
first head's factor, and a head's factor scales its classifier too (HDhE, IEEE Access 2020: 5e-4 for trunk and first
head, 4e-3 for the second, 5e-3 and 4e-2 for their classifiers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.nn import Parameter

from retrieval.errors import UserError
from training.classifier import ClassifiedEnsemble
from training.sections.optimiser import OptimiserSection

STEM = 0
"""The number that a stem has among the blocks, which are counted from 1."""


@dataclass(frozen=True)
class RateGroup:
    """Parameters that share one rate. name: `trunk.stem`, `trunk.block3`, `head2.block14`, `head2.classifier`."""

    name: str
    rate: float
    parameters: tuple[Parameter, ...]

    def for_torch(self) -> dict[str, Any]:
        """As a parameter group of torch; `base_lr` is the rate before the schedule."""
        return {"params": list(self.parameters), "lr": self.rate, "base_lr": self.rate, "name": self.name}


def rate_groups(model: ClassifiedEnsemble, optimiser: OptimiserSection) -> list[RateGroup]:
    """One group per block and owner, in forward order, then one per classifier; frozen parameters are left out.

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
        groups.append((f"{owner}.{place}", rate, [parameter for _, parameter in block.parameters]))
    for number, classifier in enumerate(model.classifiers):
        rate = optimiser.classifier_lr * heads[number]
        groups.append((f"head{number + 1}.classifier", rate, list(classifier.parameters())))
    learning = [(name, rate, tuple(p for p in ps if p.requires_grad)) for name, rate, ps in groups]
    return [RateGroup(name, rate, parameters) for name, rate, parameters in learning if parameters]


def block_factors(given: Sequence[float] | Mapping[int, float] | None, blocks: int) -> tuple[float, ...]:
    """One factor per block 1..N. given: a list of N, or block numbers to factors with 1 for the rest, or None."""
    if given is None:
        return (1.0,) * blocks
    if isinstance(given, Mapping):
        outside = sorted(number for number in given if not 1 <= number <= blocks)
        if outside:
            raise UserError(
                f"optimiser.block_factors names block {outside[0]}; this network has blocks 1 to {blocks}"
            )
        return tuple(float(given.get(number, 1.0)) for number in range(1, blocks + 1))
    if len(given) != blocks:
        raise UserError(f"optimiser.block_factors has {len(given)} factors; this network has {blocks} blocks")
    return tuple(map(float, given))
