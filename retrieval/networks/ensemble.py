"""The ensemble: one shared trunk, any number of heads, one embedding.

Source: Ro & Choi, "Heterogeneous Double-Head Ensemble for Deep Metric Learning" (IEEE Access 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import GROUPS, Backbone, BackboneView
from retrieval.networks.backbones import backbone_row
from retrieval.networks.head import Head
from retrieval.networks.spec import EnsembleSpec, SharedGroup
from retrieval.networks.spec_check import check_spec
from retrieval.networks.weights import Weights, load_weights
from retrieval.networks.whitening import Whitening


@dataclass(frozen=True)
class ParameterBlock:
    """The parameters of one block, for learning rates and weight variations by block.

    head: index of the head the block belongs to; None for the shared trunk.
    block: 0 for the stem, else 1..N from the input in the backbone's own numbering.
    name: `trunk.stem`, `trunk.res2_1`, `heads.0.res4_3`.
    parameters: (name in the ensemble, parameter); never empty.
    """

    head: int | None
    block: int
    name: str
    parameters: list[tuple[str, nn.Parameter]]


class Trunk(nn.Module):
    """Stem and the shared groups: images to the map that every head starts from."""

    def __init__(self, view: BackboneView, share_until: SharedGroup) -> None:
        super().__init__()
        self.stem = deepcopy(view.stem)
        self.groups = nn.ModuleDict()
        for group in range(GROUPS.index(share_until) + 1):
            self.groups[GROUPS[group]] = deepcopy(nn.Sequential(*view.groups[group]))

    def forward(self, images: Tensor) -> Tensor:
        """images: float[n, 3, h, w], normalised, to float[n, c, h', w']."""
        x: Tensor = self.stem(images)
        for group in self.groups.values():
            x = group(x)
        return x


class Ensemble(nn.Module):
    """A trunk and its heads. Build it with `build_ensemble`.

    pixels, mean, std: image side and channel statistics that the backbone's ImageNet weights expect.
    """

    def __init__(self, spec: EnsembleSpec, backbone: Backbone, view: BackboneView) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = backbone
        self.pixels, self.mean, self.std = view.pixels, view.mean, view.std
        self.trunk = Trunk(view, spec.share_until)
        self.heads = nn.ModuleList(
            Head(
                head,
                backbone,
                view,
                spec.share_until,
                own_blocks=number == 0 or not spec.tied,
                own_reduction=number == 0 or not spec.tied_linear,
            )
            for number, head in enumerate(spec.heads)
        )
        joined = sum(self.feature_sizes)
        self.whitening: Whitening | None = None
        if spec.whitened is not None:
            if not 1 <= spec.whitened <= joined:
                raise NetworkError(
                    f"whitened must be 1 to {joined}, the length of all features together; got {spec.whitened}"
                )
            self.whitening = Whitening(joined, spec.whitened)

    @property
    def _heads(self) -> list[Head]:
        """The heads under their own type, which a ModuleList forgets."""
        return [cast(Head, head) for head in self.heads]

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Length of each head's feature."""
        return tuple(head.feature_size for head in self._heads)

    @property
    def embedding_size(self) -> int:
        """Length of the embedding: all features together, or what the whitening leaves of them."""
        return sum(self.feature_sizes) if self.whitening is None else self.whitening.size

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """images: float[n, 3, h, w], normalised. Returns each head's feature float[n, d_h], as it is."""
        if not self.spec.tied:
            shared = self.trunk(images)
            return tuple(head(shared) for head in self._heads)
        maps = self.feature_maps(images)
        pooled = [head.pool(mapped) for head, mapped in zip(self._heads, maps, strict=True)]
        if self.spec.tied_linear:
            # One batch, for the sake of the layer's batch normalisation.
            joined = self._heads[0].reduction(torch.cat(pooled))
            reduced = joined.reshape(len(pooled), -1, joined.shape[1]).unbind()
        else:
            reduced = tuple(head.reduction(x) for head, x in zip(self._heads, pooled, strict=True))
        return tuple(head.norm(x) for head, x in zip(self._heads, reduced, strict=True))

    def feature_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Each head's map float[n, c_h, h, w] just before its pooling."""
        shared = self.trunk(images)
        if self.spec.tied:
            return self._tied_maps(shared)
        return tuple(head.feature_map(shared) for head in self._heads)

    def _tied_maps(self, shared: Tensor) -> tuple[Tensor, ...]:
        """The maps of heads that share their blocks: computed once for all heads that see the same map."""
        first = self._heads[0]
        masked = [head.mask(shared) for head in self._heads if head.attention is not None]
        if len(masked) < len(self._heads):
            masked.append(shared)
        if self.training:
            # In one batch, so that batch normalisation learns the statistics of all heads together: those are
            # what it uses afterwards, when the heads go one by one to save memory.
            deep = list(first.deepen(torch.cat(masked)).chunk(len(masked)))
        else:
            deep = [first.deepen(mask) for mask in masked]
        own = iter(deep)
        return tuple(deep[-1] if head.attention is None else next(own) for head in self._heads)

    def embed(self, images: Tensor, *, mirror: bool | None = None) -> Tensor:
        """Unit vectors float32[n, embedding_size] of images float[n, 3, h, w], with gradients if on.

        In each view every head's feature is L2-normalised, so that all weigh the same, and they are
        concatenated. With mirror (None: as the spec says) the horizontally mirrored images are embedded in
        the same batch and the two views summed. The result is L2-normalised, and whitened if the spec says so.
        """
        mirrored = self.spec.mirror if mirror is None else mirror
        views = torch.cat([images, images.flip(-1)]) if mirrored else images
        return self.join(self(views), mirror=mirrored)

    def join(self, features: Sequence[Tensor], *, mirror: bool) -> Tensor:
        """From each head's features float[m, d_h] to embeddings: unit vectors float32[n, embedding_size].

        mirror: whether m = 2n, the second half being those of the mirrored images.
        """
        embeddings = torch.cat([F.normalize(feature.float(), dim=1) for feature in features], dim=1)
        if mirror:
            # Not `chunk`, which does not tell an exported graph that there are two of any batch size.
            plain, flipped = embeddings.reshape(2, -1, embeddings.shape[1]).unbind()
            embeddings = plain + flipped
        embeddings = F.normalize(embeddings, dim=1)
        return embeddings if self.whitening is None else self.whitening(embeddings)

    def parameter_blocks(self) -> list[ParameterBlock]:
        """Every parameter exactly once, trunk first, each part from the input on.

        What stands behind a head's last block (tail, generalised mean, linear layer) counts to that block, and
        attention to the head's first. What tied heads share belongs to head 0.
        """
        found: dict[tuple[int | None, int], ParameterBlock] = {}
        for name, parameter in self.named_parameters():
            head, block = self._place(name)
            if (head, block) not in found:
                part = "trunk" if head is None else f"heads.{head}"
                label = "stem" if block == 0 else self.backbone.block_name(block)
                found[head, block] = ParameterBlock(head, block, f"{part}.{label}", [])
            found[head, block].parameters.append((name, parameter))
        return list(found.values())

    def new_parameters(self) -> list[nn.Parameter]:
        """The parameters that pretrained weights say nothing of: attention, exponents of GeM, linear layers."""
        return [parameter for head in self._heads for parameter in head.new_parameters()]

    def _place(self, name: str) -> tuple[int | None, int]:
        """Head (None: trunk) and block number of `heads.0.groups.B4.2.conv1.weight` and the like."""
        path = name.split(".")
        if path[0] == "trunk":
            head, within = None, path[1:]
        else:
            head, within = int(path[1]), path[2:]
        if within[0] == "groups":
            return head, self.backbone.number(GROUPS.index(within[1]), int(within[2]))
        if head is None:
            return head, 0
        if within[0] == "attention":
            return head, self.backbone.number(GROUPS.index(self.spec.share_until) + 1, 0)
        return head, self.backbone.number(*self.backbone.locate(self.spec.heads[head].last_block))


def with_whitening(network: Ensemble, size: int | None = None) -> Ensemble:
    """A copy of a network with a whitening layer that is to be fitted, in the place of one that it may have.

    size: length of its embedding; None: of all features together. Raises NetworkError for a size beyond that.
    """
    return _rebuilt(network, sum(network.feature_sizes) if size is None else size)


def without_whitening(network: Ensemble) -> Ensemble:
    """A copy of a network without a whitening layer."""
    return _rebuilt(network, None)


def _rebuilt(network: Ensemble, whitened: int | None) -> Ensemble:
    rebuilt = build_ensemble(replace(network.spec, whitened=whitened), weights=None)
    weights = network.state_dict()
    own = {name: weights.get(name, tensor) for name, tensor in rebuilt.state_dict().items()}
    if rebuilt.whitening is not None:
        own |= {f"whitening.{name}": tensor for name, tensor in rebuilt.whitening.state_dict().items()}
    rebuilt.load_state_dict(own)
    return rebuilt.to(next(network.parameters()).device).train(network.training)


def build_ensemble(spec: EnsembleSpec, *, weights: Weights) -> Ensemble:
    """Build the network of a spec, in training mode.

    weights: `imagenet` for the backbone's published weights (downloaded by torchvision into its cache, or
    from an installed package), the path of a state dict of the backbone (`.pth`, `.safetensors`), or None
    for random ones. The trunk and each head's own groups all start from the same copy. Raises NetworkError
    for a spec that does not fit its backbone and for weights that cannot be had.
    """
    check_spec(spec)
    backbone = backbone_row(spec.backbone)
    network = backbone.build()
    load_weights(network, backbone, weights)
    return Ensemble(spec, backbone, backbone.view(network, backbone))
