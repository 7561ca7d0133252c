"""Distance-weighted mining (Wu et al. 2017, "Sampling matters in deep embedding learning", section 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def log_weights(distances: Tensor, size: int, *, cutoff: float) -> Tensor:
    """Logarithm of min(1 / q(d), 1 / q(cutoff)), where q is the density of the distance of two random unit vectors.

    distances: float[...] in [0, 2]. size: the vectors' length. log q = (size - 2) log d + (size - 3)/2 log(1 - d^2/4).
    """
    d = distances.clamp(min=cutoff)
    # Opposite vectors are never drawn, but 0 * inf must not arise on the way.
    flat = torch.log((1 - d.square() / 4).clamp(min=torch.finfo(d.dtype).tiny))
    return (2 - size) * torch.log(d) - (size - 3) / 2 * flat


def distance_weighted_triplets(
    features: Tensor, labels: Tensor, *, cutoff: float, farthest: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Each ordered pair of a class with one negative, drawn for its anchor in proportion to 1 / q(distance).

    features: float[n, d], of any length; labels: int64[n]. Only negatives nearer than `farthest` are drawn; an anchor
    without one gets any negative, so that its positives still count (both as the authors' code does). Returns int64[t]
    positions of anchors, positives and negatives, t = 0 where a batch has no positive or no negative pair.

    Weights are normalised anchor by anchor in the logarithm. The library's miner subtracts the largest of the whole
    batch first; from about 512 values on, that leaves most anchors without weights as soon as one pair is near.
    """
    unit = F.normalize(features, dim=1)
    distances = torch.cdist(unit, unit)
    same = labels[:, None] == labels
    anchors, positives = torch.where(same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device))
    if len(anchors) == 0 or bool(same.all()):
        none = anchors[:0]
        return none, none, none
    weights = log_weights(distances, features.shape[1], cutoff=cutoff)
    weights = weights.masked_fill(same | (distances >= farthest), -torch.inf)
    without = torch.isinf(weights).all(1, keepdim=True)
    weights = torch.where(without, torch.zeros_like(weights).masked_fill(same, -torch.inf), weights)
    chances = weights.softmax(1)
    return anchors, positives, torch.multinomial(chances[anchors], 1).squeeze(1)
