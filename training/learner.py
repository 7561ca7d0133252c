"""A network and its objective as one module: what is trained, wrapped for many processes, and checkpointed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retrieval.networks import Ensemble
from training.batch_part import BatchPart, whole
from training.ensembles.combine import build_combined
from training.losses import build_loss
from training.objective import Objective
from training.recipe import Recipe
from training.sampling.signatures import ClassSignatures
from training.sections.loss import SUM, LossSection
from training.summed_heads import SummedHeads


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

    def forward(self, images: Tensor, labels: Tensor, part: BatchPart | None = None) -> tuple[Tensor, Tensor]:
        """images: float[n, 3, h, w], normalised; labels: int64[n]. part: which images of a batch these are; None: all.

        Returns the loss of the whole batch, a scalar, and how many of these images each head classified right,
        float[heads], with NaN for heads whose loss knows no classes. The features of all processes are gathered, and
        each computes the objective of the whole batch: losses compare images across processes, and norms, dropout and
        mixtures within an objective are those of one process.
        """
        part = part or whole(len(labels))
        features = tuple(part.gather(feature) for feature in self.network(images))
        labels = part.gather(labels)
        if self.signatures is not None:
            self.signatures.update(features, labels)
        result = self.objective(features, labels)
        unknown = labels.new_full((), float("nan"), dtype=torch.float32)
        right = [
            unknown if logits is None else (logits.argmax(1) == labels)[part.own].sum().float()
            for logits in result.logits
        ]
        return result.loss, torch.stack(right)


def build_learner(recipe: Recipe, network: Ensemble, classes: int) -> Learner:
    """The recipe's objective around a network, for so many training classes. Raises UserError where it does not fit."""
    objective = build_objective(recipe.loss, network, classes, seed=recipe.seed)
    signatures = None
    if recipe.sampler.hard_classes is not None:
        signatures = ClassSignatures(classes, network.embedding_size)
    return Learner(network, objective, signatures).to(memory_format=torch.channels_last)


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
