"""A network and its objective as one module: what is trained, wrapped for many processes, and checkpointed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retrieval.networks import Ensemble
from training.class_signatures import ClassSignatures
from training.objective import Objective


class Learner(nn.Module):
    """network: what becomes the bundle. objective: what is thrown away with the training classes. signatures: follow
    where the classes lie, where the sampler asks for that.
    """

    def __init__(
        self, network: Ensemble, objective: Objective, signatures: ClassSignatures | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.signatures = signatures

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """images: float[n, 3, h, w], normalised; labels: int64[n].

        Returns the loss, a scalar, and how many images each head classified right, float[heads], with NaN for heads
        whose loss knows no classes.
        """
        features = self.network(images)
        if self.signatures is not None:
            self.signatures.update(features, labels)
        result = self.objective(features, labels)
        unknown = labels.new_full((), float("nan"), dtype=torch.float32)
        right = [
            unknown if logits is None else (logits.argmax(1) == labels).sum().float()
            for logits in result.logits
        ]
        return result.loss, torch.stack(right)
