"""Losses that compare the images of a batch: several of a class must be in it."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import (
    ContrastiveLoss,
    MarginLoss,
    MultiSimilarityLoss,
    SupConLoss,
    TripletMarginLoss,
)
from pytorch_metric_learning.miners import MultiSimilarityMiner, TripletMarginMiner
from torch import Tensor, nn

from training.losses.distance_weighted import distance_weighted_triplets
from training.losses.head_loss import HeadLoss
from training.setting import Settings

Indices = tuple[Tensor, ...]
"""(anchors, positives, negatives) or (anchors, positives, anchors, negatives), int64 positions in the batch."""


class PairLoss(HeadLoss):
    """A loss of pytorch-metric-learning over all pairs of a batch, or over those that a miner picks.

    A batch without such pairs has a loss of zero.
    """

    def __init__(self, loss: nn.Module, miner: Callable[[Tensor, Tensor], Indices] | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner

    def compute(self, features: Tensor, labels: Tensor) -> tuple[Tensor, None]:
        """As every loss."""
        indices = None if self.miner is None else self.miner(features.detach(), labels)
        value: Tensor = self.loss(features, labels, indices)
        # A weight that took no part gets a gradient of zero, which gradient averaging over processes relies on.
        for parameter in self.parameters():
            value = value + 0 * parameter.sum()
        return value, None


class SquaredContrastiveLoss(ContrastiveLoss):  # type: ignore[misc]  # the library has no types
    """The library's contrastive loss with its hinges squared, as the paper has them."""

    def pos_calc(self, pos_pair_dist: Tensor, margin: float) -> Tensor:
        """float[pairs] of distances to float[pairs]."""
        return F.relu(pos_pair_dist - margin).square()

    def neg_calc(self, neg_pair_dist: Tensor, margin: float) -> Tensor:
        """float[pairs] of distances to float[pairs]."""
        return F.relu(margin - neg_pair_dist).square()


def margin(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Pairs shall be closer, or farther, than a distance beta of the anchor's class; negatives by their distance."""
    beta, alpha, cutoff = (float(settings[key]) for key in ("beta", "alpha", "cutoff"))

    def mine(features: Tensor, labels: Tensor) -> Indices:
        # Beyond alpha + beta a negative costs nothing.
        return distance_weighted_triplets(features, labels, cutoff=cutoff, farthest=alpha + beta)

    learn = bool(settings["learn_beta"])
    loss = MarginLoss(
        margin=alpha,
        nu=settings["nu"],
        beta=beta,
        learn_beta=learn,
        num_classes=classes if learn else None,
    )
    return PairLoss(loss, mine)


def multi_similarity(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Pairs weighted by their own and by relative similarity, picked by the miner of the same paper."""
    loss = MultiSimilarityLoss(alpha=settings["alpha"], beta=settings["beta"], base=settings["thresh"])
    return PairLoss(loss, MultiSimilarityMiner(epsilon=settings["epsilon"]))


def triplet(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Squared distances; negatives farther than the positive, but by less than the margin."""
    distance = LpDistance(power=2)
    miner = TripletMarginMiner(settings["margin"], type_of_triplets="semihard", distance=distance)
    return PairLoss(TripletMarginLoss(margin=settings["margin"], distance=distance), miner)


def contrastive(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Squared hinges on distances, averaged over the positive and over the negative pairs that cost something."""
    return PairLoss(
        SquaredContrastiveLoss(pos_margin=settings["pos_margin"], neg_margin=settings["neg_margin"])
    )


def supcon(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Mean log-probability of an anchor's positives among all other images of the batch."""
    return PairLoss(SupConLoss(temperature=settings["temperature"]))


def margin_problem(settings: Settings) -> str | None:
    """Distances of unit vectors lie in [0, 2], and some negatives must be able to cost something."""
    farthest = settings["alpha"] + settings["beta"]
    if farthest >= 2:
        return f"alpha + beta must be < 2, the largest distance there is; got {farthest:g}"
    if settings["cutoff"] >= farthest:
        return f"cutoff must be < alpha + beta, {farthest:g}; got {settings['cutoff']:g}"
    return None


def contrastive_problem(settings: Settings) -> str | None:
    """Positives must be allowed closer than negatives."""
    if settings["pos_margin"] >= settings["neg_margin"]:
        return (
            f"pos_margin must be < neg_margin; got {settings['pos_margin']:g} and {settings['neg_margin']:g}"
        )
    return None
