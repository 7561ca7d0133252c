"""The processes that a launcher (torchrun, accelerate launch) started together, as it tells each of them.

This is about who does and says what. How processes train together is `training.collectives`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from retrieval.errors import UserError

_PATIENCE = 5.0
"""Seconds. A launcher ends the others within about a second after one has ended."""


@dataclass(frozen=True)
class Place:
    """rank: of this process, 0 to processes - 1. local_rank: among those on this machine, which is also its GPU."""

    rank: int = 0
    processes: int = 1
    local_rank: int = 0


def own_place() -> Place:
    """The place of this process, from RANK, WORLD_SIZE and LOCAL_RANK; the only one where they are not set.

    Raises UserError for values that no launcher sets.
    """
    rank, processes, local = (_number(name, default) for name, default in _VARIABLES)
    if processes < 1 or rank >= processes:
        raise UserError(f"RANK is {rank} and WORLD_SIZE {processes}; ranks count from 0 to WORLD_SIZE - 1")
    return Place(rank, processes, local)


def check_alone(command: str) -> None:
    """Raises UserError if a command that knows only one process was started as several."""
    place = own_place()
    if place.processes > 1:
        raise UserError(f"{command} runs in one process, not in {place.processes}; start it without torchrun")


def let_others_speak(*, always: bool = False) -> None:
    """Wait before saying why this process stops: where all stop for one reason, the first one says it, and the others
    are ended by their launcher meanwhile.

    always: the first one waits too, for the one that knows the reason.
    """
    rank = os.environ.get("RANK", "0")
    if always or (rank.isdecimal() and int(rank) > 0):
        time.sleep(_PATIENCE)


_VARIABLES = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))


def _number(name: str, default: int) -> int:
    said = os.environ.get(name)
    if said is None:
        return default
    if not said.isdecimal():
        raise UserError(f"{name} must be a whole number, as a launcher sets it; got {said!r}")
    return int(said)
