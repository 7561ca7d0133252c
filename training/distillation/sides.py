"""The two sides of distillation: a network that classifies or embeds, seen as what the terms need of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from retrieval.networks import Ensemble
from retrieval.networks.classifiers import ClassificationNetwork
from retrieval.networks.taps import Tap, tapped
from training.distillation.methods.term import Output

Network = ClassificationNetwork | Ensemble


class Side(nn.Module, ABC):
    """A teacher or a student. The sizes are those of `Output`: of a feature, the logits, an embedding; 0 for none."""

    feature_size: int
    classes: int
    embedding_size: int

    @property
    @abstractmethod
    def network(self) -> Network:
        """What taps are looked up in."""

    @abstractmethod
    def forward(self, images: Tensor, taps: Sequence[Tap] = ()) -> Output:
        """images: float[n, 3, h, w], normalised as the network expects."""


class ClassifierSide(Side):
    """A network that classifies."""

    def __init__(self, classifier: ClassificationNetwork) -> None:
        super().__init__()
        self.classifier = classifier
        self.feature_size = classifier.feature_size
        self.classes = classifier.classes
        self.embedding_size = 0

    @property
    def network(self) -> ClassificationNetwork:
        """The classifier."""
        return self.classifier

    def forward(self, images: Tensor, taps: Sequence[Tap] = ()) -> Output:
        """Logits, the feature they come from, and the taps' maps."""
        with tapped(self.classifier, taps) as maps:
            feature, logits = self.classifier.forward_features(images)
        return Output(logits, feature, None, tuple(maps))


class EnsembleSide(Side):
    """A network that embeds. mirror: whether the embedding sums the mirrored image's; features and taps are those of
    the image as it is.
    """

    def __init__(self, ensemble: Ensemble, *, mirror: bool) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.mirror = mirror
        self.feature_size, self.embedding_size = sum(ensemble.feature_sizes), ensemble.embedding_size
        self.classes = 0

    @property
    def network(self) -> Ensemble:
        """The ensemble."""
        return self.ensemble

    def forward(self, images: Tensor, taps: Sequence[Tap] = ()) -> Output:
        """All heads' features, the embedding that they make, and the taps' maps."""
        views = torch.cat([images, images.flip(-1)]) if self.mirror else images
        with tapped(self.ensemble, taps) as maps:
            features = self.ensemble(views)
        count = len(images)
        return Output(
            None,
            torch.cat([feature[:count] for feature in features], dim=1),
            self.ensemble.join(features, mirror=self.mirror),
            tuple(mapped[:count] for mapped in maps),
        )
