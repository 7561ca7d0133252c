"""What every loss looks like from outside: one head's features and labels in, a number out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class HeadLoss(nn.Module, ABC):
    """The loss of one head. Weights of its own (classifiers, proxies) are its parameters.

    What is drawn at random comes from torch's generator.
    """

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """features: float[n, d], of any scale and precision. labels: int64[n], from 0.

        Returns the loss, a scalar with gradient, and logits float[n, classes] for the training accuracy, None for
        losses without classes; only their order within a row has a meaning. Computed in float32 (or float64, if the
        features are), also under autocast: exponentials of similarities lose too much in half precision.
        """
        with torch.autocast(features.device.type, enabled=False):
            return self.compute(features.to(torch.promote_types(features.dtype, torch.float32)), labels)

    @abstractmethod
    def compute(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """What `forward` promises, for features in float32 or float64."""
