"""Settings of a loss or of a term: their defaults and ranges as data, and the check of what a recipe gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from retrieval.errors import UserError

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
