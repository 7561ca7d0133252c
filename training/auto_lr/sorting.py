"""How well weight variations ascend from the first block to the last, and which ones to aim at instead.

Source: AutoLR (Ro & Choi, AAAI 2021): low blocks carry general features and should change little, high blocks should
change much. Everything here is arithmetic on one number a block, in order from the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

_LARGEST = 1e300
"""Stands for what overflows."""


def sorting_quality(variations: Sequence[float]) -> float:
    """1 - 2/n^2 x the sum over blocks of |position - rank|, to three decimals.

    1 = ascending; 0 = exactly reversed for an even number of blocks (1/n^2 for an odd one). Equal values rank in the
    order in which they stand, so that they count as ascending.
    """
    n = len(variations)
    order = sorted(range(n), key=lambda position: variations[position])  # stable
    displaced = sum(abs(rank - position) for rank, position in enumerate(order))
    return round(1 - 2 / n**2 * displaced, 3)


def first_target(
    variations: Sequence[float], min_factor: float, max_factor: float
) -> tuple[tuple[float, ...], bool]:
    """What to aim at in the first epoch: a straight line from min_factor x the smallest variation at the first block
    to max_factor x the largest at the last.

    With the authors' factors 2 and 0.4 that line does not ascend when the largest variation is at most 5 times the
    smallest; it then runs from the smallest to the largest themselves. Returns the line, and whether that was so.
    """
    low, high = min(variations), max(variations)
    bottom, top = min_factor * low, max_factor * high
    flat = bottom >= top
    if flat:
        bottom, top = low, high
    last = max(len(variations) - 1, 1)
    # Weighted like this the ends are met exactly.
    return tuple(bottom * (1 - n / last) + top * (n / last) for n in range(len(variations))), flat


def repaired_target(variations: Sequence[float]) -> tuple[float, ...]:
    """What to aim at in later epochs: the variations with their order repaired from the middle block outwards.

    Towards the input, a block that exceeds the one above it gets that one's value less a step; towards the output, a
    block below the one before it gets that one's value and a step. A step is the range of the variations / (n - 1).
    Where nothing above zero would be left, a block gets half of the value above it: the authors' code goes on to zero
    and below, which no learning rate reaches.
    """
    wanted = list(variations)
    middle, last = len(wanted) // 2, len(wanted) - 1
    step = (max(wanted) - min(wanted)) / max(last, 1)
    for n in range(middle, 0, -1):
        if wanted[n] < wanted[n - 1]:
            wanted[n - 1] = wanted[n] - step if wanted[n] > step else wanted[n] / 2
    for n in range(middle, last):
        if wanted[n] > wanted[n + 1]:
            wanted[n + 1] = wanted[n] + step
    return tuple(wanted)


def updated_rates(
    rates: Sequence[float],
    variations: Sequence[float],
    target: Sequence[float],
    *,
    min_rate: float = 0.0,
    max_rate: float = inf,
) -> tuple[float, ...]:
    """The rates that would have given the target, if a block's variation is proportional to its rate:
    rate x target / variation.

    If one of them exceeds max_rate, all are scaled down until it does not: sorting knows proportions alone, and cutting
    off single rates would level what the target tells apart. None goes below min_rate. A block that did not vary at
    all, of which nothing is known, keeps its rate in that proportion.
    """
    wanted = [
        min(rate if variation == 0 else rate * max(aim / variation, 0.0), _LARGEST)
        for rate, variation, aim in zip(rates, variations, target, strict=True)
    ]
    scale = max_rate / max(wanted) if max(wanted) > max_rate else 1.0
    return tuple(min(max(rate * scale, min_rate), max_rate) for rate in wanted)
