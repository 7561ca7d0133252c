"""Losses with weights per class: classifiers and proxies. Any batch will do for them."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import NormalizedSoftmaxLoss, ProxyAnchorLoss, SoftTripleLoss
from pytorch_metric_learning.utils.common_functions import TorchInitWrapper
from torch import Tensor, nn

from training.classifier import class_block, class_logits
from training.losses.head_loss import HeadLoss
from training.setting import Settings


class CrossEntropy(HeadLoss):
    """Softmax cross-entropy over a linear layer, or over the class block of Ro & Choi where `hidden`."""

    def __init__(
        self, feature_size: int, classes: int, settings: Settings | None = None, *, hidden: bool = False
    ) -> None:
        super().__init__()
        self.classifier = (class_block if hidden else class_logits)(feature_size, classes)

    def compute(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As every loss; the logits carry gradient."""
        logits = self.classifier(features)
        return F.cross_entropy(logits, labels), logits


class ProxyLoss(HeadLoss):
    """A loss of pytorch-metric-learning with proxies; the logits are the similarities to them, without gradient."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def compute(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As every loss."""
        value = self.loss(features, labels)
        with torch.no_grad():
            return value, cast(Any, self.loss).get_logits(features)


class ProxyNCAPlusPlus(HeadLoss):
    """-log softmax of -|x - p|^2 / T over all proxies, the own one among them; x and p of unit length.

    Teh et al. 2020 (ProxyNCA++), with the proxies drawn as in their code, standard deviation 1/8. Not the library's
    ProxyNCALoss, which takes the logarithm after the softmax and leaves out images whose probability has become
    zero: at a low temperature those are the hard ones.
    """

    def __init__(self, feature_size: int, classes: int, settings: Settings) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(classes, feature_size) / 8)
        self.temperature = float(settings["temperature"])

    def compute(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As every loss; the logits carry gradient."""
        unit = F.normalize(self.proxies.to(features.dtype), dim=1)
        # |x - p|^2 = 2 - 2 cos, and the 2 stands in every class's exponent alike.
        logits = 2 * F.normalize(features, dim=1) @ unit.T / self.temperature
        return F.cross_entropy(logits, labels), logits


class CentreSpread(nn.Module):
    """SoftTriple's regulariser: distances between the centres of a class (Qian et al. 2019).

    Pulling a class's spare centres together leaves it as many as it needs. Class by class, because the library's
    regulariser holds the similarities of all pairs of centres: 51 GB for the 11,318 classes of SOP at K = 10.
    """

    def __init__(self, centres: int) -> None:
        super().__init__()
        self.centres = centres

    def forward(self, weights: Tensor) -> Tensor:
        """weights: float[classes * centres, d], class by class. Returns a scalar."""
        centres = F.normalize(weights, dim=1).view(-1, self.centres, weights.shape[1])
        above = torch.ones(self.centres, self.centres, dtype=torch.bool, device=weights.device).triu(1)
        cosines = (centres @ centres.transpose(1, 2))[:, above]
        # The authors' 1e-5 keeps the root's slope finite where two centres have met. Each pair is counted once and
        # divided by all ordered pairs, as they do.
        distances = (2 + 1e-5 - 2 * cosines).clamp(min=1e-5).sqrt()
        return distances.sum() / (len(weights) * (self.centres - 1))


def norm_softmax(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Cross-entropy of cosines to the class weights over a temperature."""
    bound = 1 / math.sqrt(
        feature_size
    )  # the authors' start; the length of the weights sets how fast they turn
    start = TorchInitWrapper(nn.init.uniform_, a=-bound, b=bound)
    temperature = settings["temperature"]
    return ProxyLoss(
        NormalizedSoftmaxLoss(classes, feature_size, temperature=temperature, weight_init_func=start)
    )


def soft_triple(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Cross-entropy of relaxed similarities to several centres a class, with a margin, and `CentreSpread`."""
    centres = int(settings["centres"])
    spread = CentreSpread(centres) if centres > 1 and settings["tau"] > 0 else None
    return ProxyLoss(
        SoftTripleLoss(
            classes,
            feature_size,
            centers_per_class=centres,
            la=settings["la"],
            gamma=settings["gamma"],
            margin=settings["margin"],
            weight_regularizer=spread,
            weight_reg_weight=settings["tau"],
        )
    )


def proxy_anchor(feature_size: int, classes: int, settings: Settings) -> HeadLoss:
    """Each proxy is an anchor that pulls its images and pushes all others, the hard ones most."""
    return ProxyLoss(
        ProxyAnchorLoss(classes, feature_size, margin=settings["margin"], alpha=settings["alpha"])
    )
