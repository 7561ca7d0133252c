"""A row of the table of losses: names, defaults and ranges as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from retrieval.errors import UserError
from training.losses.head_loss import HeadLoss

Value = bool | int | float
Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Setting:
    """A setting's default and its range. The default's type is the setting's; a float may be written as an integer."""

    default: Value
    above: float | None = None
    least: float | None = None
    most: float | None = None

    def problem(self, value: object) -> str | None:
        """What is wrong with a value, as `must ...`; None where nothing is."""
        if isinstance(self.default, bool):
            return None if isinstance(value, bool) else "must be true or false"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        if isinstance(self.default, int) and not isinstance(value, int):
            return "must be a whole number"
        if not math.isfinite(value):
            return "must be finite"
        if self.above is not None and value <= self.above:
            return f"must be > {self.above:g}"
        if self.least is not None and value < self.least:
            return f"must be >= {self.least:g}"
        if self.most is not None and value > self.most:
            return f"must be <= {self.most:g}"
        return None


def _fits(settings: Settings) -> str | None:
    return None


@dataclass(frozen=True)
class LossRow:
    """One loss.

    source: paper, and where its settings come from. kind: `class` losses have a weight vector or more per class and
    take any batch; `pair` losses compare the images of a batch and need several of a class in it.
    images_per_class: what the authors' sampler puts into a batch of each class; 0 = a plain shuffle.
    build: (feature size, classes, all settings) to the loss. joint: what is wrong with settings that only fail
    together, or None.
    """

    name: str
    source: str
    kind: Literal["class", "pair"]
    images_per_class: int
    settings: Mapping[str, Setting]
    build: Callable[[int, int, Settings], HeadLoss]
    joint: Callable[[Settings], str | None] = _fits

    @property
    def defaults(self) -> dict[str, Value]:
        """The authors' settings."""
        return {key: setting.default for key, setting in self.settings.items()}

    def resolve(self, settings: Settings) -> dict[str, Value]:
        """All settings, the given ones in place of the defaults. Raises UserError naming the one that is wrong."""
        resolved = resolve(f"loss {self.name}", self.settings, settings)
        problem = self.joint(resolved)
        if problem is not None:
            raise UserError(f"loss {self.name}: {problem}")
        return resolved


def resolve(owner: str, known: Mapping[str, Setting], given: Settings) -> dict[str, Value]:
    """All settings, the given ones in place of the defaults. Raises UserError, naming owner and the wrong one."""
    for key, value in given.items():
        if key not in known:
            names = f"its settings are {', '.join(known)}" if known else "it has no settings"
            raise UserError(f"{owner} has no setting {key!r}; {names}")
        problem = known[key].problem(value)
        if problem is not None:
            raise UserError(f"{owner}: {key} {problem}; got {value!r}")
    return {key: setting.default for key, setting in known.items()} | dict(given)
