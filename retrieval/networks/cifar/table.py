"""The networks for CIFAR by name. A new family is a file and a row here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from retrieval.errors import NetworkError
from retrieval.networks.cifar.cifar_resnet import cifar_resnet
from retrieval.networks.cifar.pyramidnet import DEEPEST_OF_BASIC_BLOCKS, pyramidnet
from retrieval.networks.cifar.wide_resnet import wide_resnet
from retrieval.networks.classifier_parts import ClassifierParts

# No network of the papers is deeper or wider; a name beyond is a slip that would fill the memory.
DEEPEST, WIDEST = 1202, 999


@dataclass(frozen=True)
class CifarFamily:
    """One family: how its names are written, the depths that it has, and how to build one from the name's numbers.

    layers: of a depth, layers in a block of each of the three groups, and layers beside the blocks.
    """

    pattern: str
    numbers: re.Pattern[str]
    layers: Callable[[int], tuple[int, int]]
    build: Callable[..., ClassifierParts]
    known: tuple[str, ...]


def _pyramid_layers(depth: int) -> tuple[int, int]:
    return (9 if depth > DEEPEST_OF_BASIC_BLOCKS else 6), 2


CIFAR_FAMILIES = (
    CifarFamily(
        "wrn-DEPTH-WIDTH",
        re.compile(r"wrn-([1-9][0-9]*)-([1-9][0-9]*)"),
        lambda _: (6, 4),
        wide_resnet,
        ("wrn-10-1", "wrn-10-4", "wrn-16-2", "wrn-16-4", "wrn-22-4", "wrn-28-2", "wrn-28-4"),
    ),
    CifarFamily(
        "cifar-resnet-DEPTH",
        re.compile(r"cifar-resnet-([1-9][0-9]*)"),
        lambda _: (6, 2),
        cifar_resnet,
        ("cifar-resnet-8", "cifar-resnet-20", "cifar-resnet-32", "cifar-resnet-56", "cifar-resnet-110"),
    ),
    CifarFamily(
        "pyramidnet-DEPTH-ALPHA",
        re.compile(r"pyramidnet-([1-9][0-9]*)-([1-9][0-9]*)"),
        _pyramid_layers,
        pyramidnet,
        ("pyramidnet-110-84", "pyramidnet-200-240"),
    ),
)

CIFAR_PATTERNS: tuple[str, ...] = tuple(family.pattern for family in CIFAR_FAMILIES)

# Those of the papers' tables; any other depth and width of the families can be named too.
CIFAR_NETWORKS: tuple[str, ...] = tuple(name for family in CIFAR_FAMILIES for name in family.known)


def cifar_network(name: str) -> ClassifierParts | None:
    """The parts of `wrn-16-2`, `cifar-resnet-56`, `pyramidnet-110-84` and the like; None for names of another form.

    Raises NetworkError for a depth that the family does not have.
    """
    for family in CIFAR_FAMILIES:
        found = family.numbers.fullmatch(name)
        if found is None:
            continue
        depth, *widths = (int(number) for number in found.groups())
        each, beside = family.layers(depth)
        if depth < each + beside or (depth - beside) % each:
            some = ", ".join(str(each * blocks + beside) for blocks in (1, 2, 3, 4, 9))
            raise NetworkError(
                f"the depth of {family.pattern} must be {each}n + {beside} ({some}, ...); got {name!r}"
            )
        if depth > DEEPEST or any(width > WIDEST for width in widths):
            raise NetworkError(
                f"{name} is too large: at most {DEEPEST} layers, and {WIDEST} for its width or alpha"
            )
        return family.build(depth, *widths)
    return None
