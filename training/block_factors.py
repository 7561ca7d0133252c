"""Factors on the learning rate, one per block, from the ways in which a recipe may write them.

Source of the named ones: the hand-set rates with which Ro & Choi led up to AutoLR (AAAI 2021), on ResNet-50 pruned to
14 blocks. There `dagger` (†) divides the rates of blocks 1, 2, 3 by ten; `double_dagger` (‡) multiplies those of blocks
13, 14 by ten; `star` (*) sets all by hand until low blocks change little and high blocks much. The values behind `star`
were never published. What stands for it here is inferred: equal ratios from the dagger's 0.1 at the first block to the
double dagger's 10 at the last.

On a network that keeps N blocks, the dagger takes the first 3/14 of them and the double dagger the last 2/14, rounded
and at least one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrieval.errors import UserError
from training.sections.optimiser import FactorRule, NamedFactors

_DAGGER_SHARE = 3 / 14
_DOUBLE_DAGGER_SHARE = 2 / 14
_STAR = FactorRule(first=0.1, last=10.0)


def block_factors(
    given: Sequence[float] | Mapping[int, float] | FactorRule | NamedFactors | None, blocks: int
) -> tuple[float, ...]:
    """One factor per block 1..`blocks`, the number that the network keeps.

    given: a list of that many, block numbers to factors with 1 for the rest, a rule, a name, or None for all 1.
    Raises UserError when it does not fit the number of blocks.
    """
    if given is None:
        return (1.0,) * blocks
    if isinstance(given, str):
        return _named(given, blocks)
    if isinstance(given, FactorRule):
        return _between(given, blocks)
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


def _named(name: NamedFactors, blocks: int) -> tuple[float, ...]:
    if name == "dagger":
        low = max(round(_DAGGER_SHARE * blocks), 1)
        return (0.1,) * low + (1.0,) * (blocks - low)
    if name == "double_dagger":
        high = max(round(_DOUBLE_DAGGER_SHARE * blocks), 1)
        return (1.0,) * (blocks - high) + (10.0,) * high
    return _between(_STAR, blocks)


def _between(rule: FactorRule, blocks: int) -> tuple[float, ...]:
    """One block alone takes `last`."""
    shares = [number / (blocks - 1) for number in range(blocks)] if blocks > 1 else [1.0]
    if rule.shape == "linear":
        return tuple((1 - share) * rule.first + share * rule.last for share in shares)
    return tuple(rule.first ** (1 - share) * rule.last**share for share in shares)
