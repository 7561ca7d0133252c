"""From a recipe to its objective."""

from __future__ import annotations

from retrieval.networks import Ensemble
from training.ensembles.combine import build_combined
from training.losses import build_loss
from training.objective import Objective
from training.sections.loss import SUM, LossSection
from training.summed_heads import SummedHeads


def build_objective(section: LossSection, network: Ensemble, classes: int, *, seed: int) -> Objective:
    """The loss section's objective for a network's heads. Raises UserError where it does not fit them.

    A head whose spec has a `classifier_block` is classified through a hidden layer (the plus of `penultimate+`). seed:
    of what is random and stays through the run.
    """
    if section.combine != SUM:
        return build_combined(section.combine, network.feature_sizes, classes, section.settings, seed=seed)
    heads = list(zip(network.spec.heads, network.feature_sizes, strict=True))
    losses = [
        build_loss(section.name, size, classes, section.settings, hidden=head.classifier_block)
        for head, size in heads
    ]
    pair = section.pair
    pairs = [
        build_loss(pair.name, size, classes, pair.settings, hidden=False)
        for _, size in heads
        if pair is not None
    ]
    return SummedHeads(
        losses,
        pairs=pairs,
        pair_weight=pair.weight if pair is not None else 0.0,
        mixup=section.mixup,
        distillation=section.distil_heads,
    )
