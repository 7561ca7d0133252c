"""A moving average of the weights, which often retrieves better than any single step's (Polyak and Juditsky 1992)."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

N = TypeVar("N", bound=nn.Module)


class WeightAverage(Generic[N]):
    """The exponential average of a network's parameters and batch-norm statistics over training steps.

    Early on the decay is held below (1 + t) / (10 + t), so that the first weights are soon forgotten. Saved and
    restored with the checkpoint by `state_dict` and `load_state_dict`.
    """

    def __init__(self, network: N, decay: float) -> None:
        self._decay = decay
        self._average = AveragedModel(network, multi_avg_fn=self._blend, use_buffers=True)

    @property
    def network(self) -> N:
        """The averaged network."""
        return cast(N, self._average.module)

    def update(self, network: nn.Module) -> None:
        """Take in the weights after a step."""
        self._average.update_parameters(network)

    def state_dict(self) -> dict[str, Any]:
        """Tensors only."""
        return self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self._average.load_state_dict(state)

    @torch.no_grad()
    def _blend(self, averages: Any, current: Any, steps: Tensor | int) -> None:
        decay = min(self._decay, (1 + int(steps)) / (10 + int(steps)))
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)
