"""What is minimised: everything between the heads' features and one number.

An objective is a module, because losses have weights of their own (classifiers, proxies, regressors) that learn with
the network, are saved in its checkpoints, and are left out of the bundle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import Parameter


@dataclass(frozen=True)
class ObjectiveResult:
    """loss: scalar. logits: of each head float[n, classes] for the training accuracy, None where it has no classes."""

    loss: Tensor
    logits: tuple[Tensor | None, ...]


class Objective(nn.Module, ABC):
    """Features of all heads to one loss. Anything drawn at random comes from torch's generator, seeded each step."""

    @abstractmethod
    def forward(self, features: tuple[Tensor, ...], labels: Tensor) -> ObjectiveResult:
        """features: float[n, d_h] of each head, as the network gives them; labels: int64[n], from 0."""

    def head_parameters(self, head: int) -> list[Parameter]:
        """The objective's parameters that learn with this head's factor (counted from 0)."""
        return []

    def shared_parameters(self, heads: int) -> list[Parameter]:
        """The parameters that belong to no head."""
        own = {id(parameter) for head in range(heads) for parameter in self.head_parameters(head)}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]
