"""How a pruning depth is chosen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from training.sections.section import Factor, Rate, Section


class PruningSection(Section):
    """What `network.prune_until: auto` tries, and when it stops.

    epochs: of each trial. holdout: the share of the training classes that trials are scored on instead of trained on,
    where `validation.holdout` does not name one already. tolerance: how far recall at 1 may fall below the best so
    far. small: a block is a candidate when its weight variation lies below this x the median of all blocks.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 3
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    tolerance: Factor = 0.01
    small: Rate = 1.0
