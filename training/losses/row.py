"""A row of the table of losses: names, sources and settings as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from retrieval.errors import UserError
from training.losses.head_loss import HeadLoss
from training.setting import Setting, Settings, Value, resolve


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
