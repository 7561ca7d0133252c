"""One vector per class, followed while training: where each class lies in the embedding space."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


class ClassSignatures(nn.Module):
    """Running means of the embeddings of each class, from features that training computes anyway.

    What Suh et al. 2019 (SCHM) call class signatures; the running mean is this project's choice. Everything is in
    buffers, so that a checkpoint holds it. Batches of a whole epoch are made from the signatures as they were at its
    start, which are kept apart: a run that is resumed in the middle of an epoch makes the same ones.
    """

    means: Tensor
    fixed: Tensor
    seen: Tensor

    def __init__(self, classes: int, size: int, *, momentum: float = 0.9) -> None:
        """size: sum of the heads' feature sizes. momentum: weight of the old mean at each update."""
        super().__init__()
        self.momentum = momentum
        self.register_buffer("means", torch.zeros(classes, size))
        self.register_buffer("fixed", torch.zeros(classes, size))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def update(self, features: tuple[Tensor, ...], labels: Tensor) -> None:
        """Take in a batch: features float[n, d_h] of each head, labels int64[n].

        An embedding is the concatenation of the heads' L2-normalised features.
        """
        embeddings = torch.cat([F.normalize(feature.float(), dim=1) for feature in features], dim=1)
        present, members = torch.unique(labels, return_inverse=True)
        sums = torch.zeros(len(present), embeddings.shape[1], device=embeddings.device)
        sums.index_add_(0, members, embeddings)
        batch_means = sums / torch.bincount(members, minlength=len(present))[:, None]
        keep = self.momentum * self.seen[present, None].float()
        self.means[present] = keep * self.means[present] + (1 - keep) * batch_means
        self.seen[present] = True

    def start_epoch(self) -> None:
        """Keep the present means as what `vectors` gives until the next epoch."""
        self.fixed.copy_(self.means)

    def vectors(self) -> NDArray[np.float32]:
        """float32[classes, size] as of the start of the epoch; zeros for classes never seen by then."""
        vectors: NDArray[np.float32] = self.fixed.cpu().numpy().copy()
        return vectors
