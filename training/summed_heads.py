"""The usual objective: one loss a head, summed, and terms that join the heads or the images.

HDhE sums the heads' cross-entropies with equal weights (Ro & Choi, IEEE Access 2020). The other terms go beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from training.losses import HeadLoss
from training.objective import Objective, ObjectiveResult
from training.sections.loss import HeadDistillation, Mixup


class SummedHeads(Objective):
    """The sum over heads of each head's loss, with optional terms.

    losses: one a head. pairs: one a head, added with pair_weight. mixup: a share of the loss is taken on mixed
    features. distillation: the concatenation of all heads teaches each.
    """

    def __init__(
        self,
        losses: Sequence[HeadLoss],
        *,
        pairs: Sequence[HeadLoss] = (),
        pair_weight: float = 0.0,
        mixup: Mixup | None = None,
        distillation: HeadDistillation | None = None,
    ) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.pairs = nn.ModuleList(pairs)
        self.pair_weight = pair_weight
        self.mixup = mixup
        self.distillation = distillation

    def forward(self, features: tuple[Tensor, ...], labels: Tensor) -> ObjectiveResult:
        """As every objective."""
        results = [loss(feature, labels) for loss, feature in zip(self.losses, features, strict=True)]
        total = torch.stack([value for value, _ in results]).sum()
        if self.mixup is not None:
            mixed = self._mixed(features, labels, self.mixup.alpha)
            total = (1 - self.mixup.weight) * total + self.mixup.weight * mixed
        for pair, feature in zip(self.pairs, features, strict=False):
            total = total + self.pair_weight * pair(feature, labels)[0]
        if self.distillation is not None:
            total = total + self.distillation.weight * ensemble_teaches_heads(
                features, self.distillation.temperature
            )
        return ObjectiveResult(total, tuple(logits for _, logits in results))

    def head_parameters(self, head: int) -> list[Parameter]:
        """Those of the head's own losses."""
        own = list(self.losses[head].parameters())
        return own + list(self.pairs[head].parameters()) if self.pairs else own

    def _mixed(self, features: tuple[Tensor, ...], labels: Tensor, alpha: float) -> Tensor:
        """The heads' losses on convex combinations of unit features, each with both labels in proportion.

        Mixup of embeddings after Venkataramanan et al. 2022 ("It takes two to tango"), for losses with classes. All
        heads mix the same pairs of images in the same proportion.
        """
        share = torch.distributions.Beta(alpha, alpha).sample().to(labels.device)
        other = torch.randperm(len(labels), device=labels.device)
        losses = []
        for loss, feature in zip(self.losses, features, strict=True):
            # Mixed on the sphere of the batch's mean length, so that plain features of any scale mix evenly.
            feature = feature.to(torch.promote_types(feature.dtype, torch.float32))
            length = feature.norm(dim=1, keepdim=True)
            unit = feature / length.clamp(min=1e-12)
            mixed = (share * unit + (1 - share) * unit[other]) * length.mean().detach()
            losses.append(share * loss(mixed, labels)[0] + (1 - share) * loss(mixed, labels[other])[0])
        return torch.stack(losses).sum()


def ensemble_teaches_heads(features: tuple[Tensor, ...], temperature: float) -> Tensor:
    """KL divergence from the ensemble's to each head's distribution of similarities within the batch, summed.

    features: float[n, d_h] of each head. An image's distribution is the softmax over the other images of cosine /
    temperature; the ensemble's cosine is the mean of the heads', which is that of its concatenated embedding, and no
    gradient flows into it. After similarity distillation between embedding sizes (Roth et al. 2021, S2SD), with the
    ensemble for the larger embedding. Returns a scalar, the mean over images.
    """
    others = ~torch.eye(len(features[0]), dtype=torch.bool, device=features[0].device)
    cosines = []
    for feature in features:
        unit = F.normalize(feature.to(torch.promote_types(feature.dtype, torch.float32)), dim=1)
        cosines.append((unit @ unit.T)[others].view(len(unit), -1) / temperature)
    teacher = F.log_softmax(torch.stack(cosines).mean(0).detach(), dim=1)
    divergences = [
        F.kl_div(F.log_softmax(cosine, dim=1), teacher, log_target=True, reduction="batchmean")
        for cosine in cosines
    ]
    return torch.stack(divergences).sum()
