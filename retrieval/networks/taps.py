"""Where features are taken from a network, without changing it.

A tap is named after the group behind which it is, `B2`, or after a single block, `res2_1`; in an ensemble with the
part in front: `trunk.B1`, `head1.B3`, `head1.res4_1`. Positions: `end` is the block's output, `pre_relu` what the ReLU
behind it sees (by family: `pre_relu.py`), and `mid` the output of the middle group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias, cast

from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import output_channels
from retrieval.networks.classifiers import ClassificationNetwork
from retrieval.networks.ensemble import Ensemble
from retrieval.networks.head import Head
from retrieval.networks.listening import listening
from retrieval.networks.pre_relu import pre_relu

Position = Literal["mid", "end", "pre_relu"]
Network: TypeAlias = ClassificationNetwork | Ensemble


@dataclass(frozen=True)
class Tap:
    """A place in a network. channels: of its map. norm: the batch norm that the map comes from; None without one.

    A map at `pre_relu` has a norm, those at `mid` and `end` have none. It is the network's own module, whose weights go
    on changing while the network learns.
    """

    name: str
    position: Position
    channels: int
    norm: nn.BatchNorm2d | None


@dataclass(frozen=True)
class _Place:
    """A block: depth is its number from the input, part the trunk or head it is in, follower what sees its output."""

    name: str
    part: str
    depth: int
    block: nn.Module
    follower: nn.Module | None


@dataclass(frozen=True)
class _Group:
    """A group by the name of its tap, and its blocks."""

    name: str
    places: tuple[_Place, ...]


def tap_names(network: Network) -> tuple[str, ...]:
    """Every name that `find_taps` knows: the groups, shallow to deep, head by head, then the single blocks.

    Heads that share their blocks have the taps of the first one. They have none where attention makes the shared
    blocks run once a head.
    """
    groups = _groups(network)
    return (*(group.name for group in groups), *(place.name for group in groups for place in group.places))


def find_taps(network: Network, position: Position, names: Sequence[str] | None = None) -> tuple[Tap, ...]:
    """Taps by name, in the order given, which is from shallow to deep; taps of different heads may stand in any order.

    names: None stands for every group, in an ensemble those of the trunk and the first head; at `mid` for the middle
    one alone: B2 of three or four. Behind the trunk, a `pre_relu` that depends on what follows is the first head's.
    Raises NetworkError for a name that is not there, listing those that are, and for a wrong order.
    """
    groups = _groups(network)
    if names is None:
        line = [group.name for group in groups if group.name.startswith(("B", "trunk.", "head1."))]
        names = line[(len(line) - 1) // 2 :][:1] if position == "mid" else line
    places = [_find(groups, name) for name in names]
    for before, place, name in zip(places, places[1:], names[1:], strict=False):
        one_line = place.part == before.part or "trunk" in (place.part, before.part)
        if one_line and place.depth < before.depth:
            raise NetworkError(
                f"taps must be named from shallow to deep; {name} comes too late in {', '.join(names)}"
            )
    return tuple(_tap(place, name, position) for place, name in zip(places, names, strict=True))


@contextmanager
def tapped(network: Network, taps: Sequence[Tap]) -> Iterator[list[Tensor]]:
    """Give a list that the calling thread's forward pass fills: for each tap, in order, a map float[n, channels, h, w].

    n: images in the pass. Gradients flow through the maps, which are values before an activation in place, never
    behind it; they must not be changed in place. Each pass empties the list first; it stays empty after one that did
    not come to an end. taps: of this network, or of another one built alike.
    """
    groups = _groups(network)
    wanted = [(tap.name, tap.position) for tap in taps]
    found: dict[tuple[str, Position], Tensor] = {}
    maps: list[Tensor] = []

    def begin(_: Tensor) -> None:
        found.clear()
        maps.clear()

    def keep(key: tuple[str, Position], x: Tensor) -> None:
        found[key] = x
        if len(found) == len(set(wanted)):
            maps[:] = [found[key] for key in wanted]

    with listening() as listener:
        listener.before(
            network.stem if isinstance(network, ClassificationNetwork) else network.trunk.stem, begin
        )
        for name, position in dict.fromkeys(wanted):
            place = _find(groups, name)
            hear = partial(keep, (name, position))
            if position == "pre_relu":
                pre_relu(place.block, place.follower).listen(listener, hear)
            else:
                listener.behind(place.block, hear)
        yield maps


def _tap(place: _Place, name: str, position: Position) -> Tap:
    if position == "pre_relu":
        norm = pre_relu(place.block, place.follower).norm
        return Tap(name, position, norm.num_features, norm)
    return Tap(name, position, output_channels(place.block), None)


def _find(groups: Sequence[_Group], name: str) -> _Place:
    """The block of this name, or the last one of the group of this name."""
    for group in groups:
        for place in group.places:
            if name == place.name:
                return place
        if name == group.name:
            return group.places[-1]
    known = ", ".join(f"{group.name} ({group.places[0].name} to {group.places[-1].name})" for group in groups)
    raise NetworkError(f"there is no tap {name!r}; the groups (and their blocks) are {known}")


def _groups(network: Network) -> list[_Group]:
    """Every group that has taps: the trunk's, then those of one head after the other."""
    if isinstance(network, ClassificationNetwork):
        return _line("", network.groups, 0, _present(network.tail))
    heads = [cast(Head, head) for head in network.heads]
    first = next(iter(heads[0].groups.values()))
    # With attention a head sees the trunk's map multiplied by its mask: nothing follows that sees the map itself.
    behind = cast(nn.Sequential, first)[0] if heads[0].attention is None else None
    found = _line("trunk", network.trunk.groups, 0, behind)
    shared = sum(len(group.places) for group in found)
    if network.spec.tied and any(head.attention is not None for head in heads):
        return found
    for number, head in enumerate(heads, start=1):
        found += _line(f"head{number}", head.groups, shared, _present(head.tail))
    return found


def _present(tail: nn.Module) -> nn.Module | None:
    return None if isinstance(tail, nn.Identity) else tail


def _line(part: str, groups: nn.ModuleDict, depth: int, behind: nn.Module | None) -> list[_Group]:
    """The groups of one part. depth: blocks in front of it. behind: what sees its last block's output."""
    if not groups:
        return []
    prefix = f"{part}." if part else ""
    blocks = [
        (name, f"{prefix}res{name[1:]}_{index}", block)
        for name, group in groups.items()
        for index, block in enumerate(cast(nn.Sequential, group), start=1)
    ]
    followers = [block for _, _, block in blocks[1:]] + [behind]
    places = [
        (group, _Place(name, part, depth + index, block, follower))
        for index, ((group, name, block), follower) in enumerate(zip(blocks, followers, strict=True), start=1)
    ]
    return [
        _Group(prefix + name, tuple(place for group, place in places if group == name)) for name in groups
    ]
