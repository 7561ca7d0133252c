"""Class activation maps for embeddings: how much each position of an image adds to a similarity.

With norms held fixed, the cosine of two embeddings is a sum over views, heads, channels and positions of
activation x derivative, since pooling is homogeneous: scaled maps give equally scaled features (Euler's theorem). For
average pooling that is, for one head and one view with map x of P positions, feature f = mean x and other embedding g,

    cos(f, g) = sum over positions p of <x_p, g> / (P |f| |g|),

the class activation map of Zhou et al. (CVPR 2016) with the other image's embedding in the place of a class's weights,
as in Stylianou et al. (WACV 2019). At a map that is pooled the sum is the cosine itself. Further down, and below a
linear layer or a whitening, biases in between add their own part, and the map is the first-order one of Grad-CAM
(Selvaraju et al. 2017), without averaging the derivatives over positions (Draelos & Carin 2020, HiResCAM): its sum
differs from the cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.bundle import Bundle
from retrieval.networks import Ensemble
from retrieval.networks.recording import check_blocks, recorded

SMALL = 1e-12
"""Least length that is divided by, as in torch's `normalize`."""

POOLED = None
"""The `block` of a map that is the one the head pools, behind its last block and the backbone's tail."""


@dataclass(frozen=True)
class ActivationMap:
    """What each position of one image adds to what is explained.

    of: 0 for the image, 1 for the one it is compared with.
    head: index of the head whose part it is; None for all heads together.
    block: number 1..N of the block whose output it is a map of; None for the map that the heads pool.
    values: float32[h, w]; may be negative. Where heads' maps differ in size, the map of all has the finest.
    exact: whether the values sum to the part.
    part: what the head, or all of them, give to what is explained.
    """

    of: int
    head: int | None
    block: int | None
    values: NDArray[np.float32]
    exact: bool
    part: float


@dataclass(frozen=True)
class Explanation:
    """Why two images are similar, or what made the embedding of one.

    score: cosine of the two embeddings; 1 for an image by itself.
    maps: for every image, each asked block (and None) and each head (and None); those of heads without the block are
        left out.
    """

    score: float
    maps: tuple[ActivationMap, ...]

    def map(self, *, of: int = 0, head: int | None = None, block: int | None = None) -> ActivationMap:
        """The map of an image, a head (None: all) and a block (None: the pooled map). Raises KeyError."""
        for found in self.maps:
            if (found.of, found.head, found.block) == (of, head, block):
                return found
        raise KeyError((of, head, block))


def explain(
    bundle: Bundle,
    image: NDArray[np.uint8],
    against: NDArray[np.uint8] | None = None,
    *,
    blocks: Sequence[int] = (),
    typical: NDArray[np.float32] | None = None,
) -> Explanation:
    """Maps of what makes an image's embedding, or of what makes two images similar.

    image, against: uint8[p, p, 3], prepared by the bundle's preprocessing; without `against` the image is compared with
    itself. blocks: numbers 1..N, from the input, of the blocks to give maps of beside the pooled maps. typical:
    float32[embedding_size], the mean embedding of other images; the maps then explain by how much the image is more
    similar to the other one than to those (its product with other - typical). That shows what is particular where a
    network finds all images alike.

    Views count as the network's spec says: the mirrored image's map is mirrored back and added. Takes one forward pass
    and one backward pass a head. Other threads may embed with the network meanwhile. Raises NetworkError for a block
    that no head has.
    """
    network = bundle.network
    check_blocks(network, blocks)
    images = np.stack([image] if against is None else [image, against])
    device = next(network.parameters()).device
    # With a gradient of its own, so that every map has one though the network's parameters may be frozen.
    batch = bundle.preprocessing.normalise(torch.from_numpy(images).to(device)).requires_grad_()
    mirrored = network.spec.mirror
    with torch.enable_grad(), recorded(network, blocks) as record:
        network(torch.cat([batch, batch.flip(-1)]) if mirrored else batch)
        columns = _columns(network, record.features, len(images))
    embeddings = torch.cat(columns, dim=1).detach()
    if network.whitening is not None:
        embeddings = embeddings @ network.whitening.matrix.T
    length = embeddings.norm(dim=1, keepdim=True).clamp(min=SMALL)
    embeddings = embeddings / length
    others = embeddings if against is None else embeddings.flip(0)
    score = float((embeddings * others).sum(1)[0])
    if typical is not None:
        others = others - torch.from_numpy(typical).to(device)
    # What the heads' columns are multiplied with in the product of the two embeddings.
    factors = (others if network.whitening is None else others @ network.whitening.matrix) / length
    split = torch.split(factors, list(network.feature_sizes), dim=1)
    parts = [(column * factor).sum(1) for column, factor in zip(columns, split, strict=True)]
    values = torch.stack(parts, dim=1).detach().cpu().numpy()
    maps: list[ActivationMap] = []
    for block in (POOLED, *blocks):
        shares = []
        for head, part in enumerate(parts):
            outputs = [record.pooled[head]] if block is None else record.blocks[block]
            shares.append(_contributions(part.sum(), outputs, mirrored))
        maps += _maps(network, block, shares, values)
    return Explanation(score, tuple(maps))


def _columns(network: Ensemble, features: dict[int, Tensor], images: int) -> list[Tensor]:
    """Each head's columns, float[images, d_h], of the unit vectors that all make together, with all norms taken as
    constants; less the mean that a whitening takes away.

    features: by head, float[views * images, d_h] before its norm.
    """
    views = []
    for head, spec in enumerate(network.spec.heads):
        feature = features[head].float()
        if spec.norm == "layer":
            # It takes away the mean; that it divides by a number too makes no difference to a unit vector.
            feature = feature - feature.mean(1, keepdim=True)
        length = feature.detach().norm(dim=1, keepdim=True).clamp(min=SMALL)
        views.append((feature / length).unflatten(0, (-1, images)).sum(0))
    norm = torch.cat(views, dim=1).detach().norm(dim=1, keepdim=True).clamp(min=SMALL)
    columns = [view / norm for view in views]
    if network.whitening is None:
        return columns
    means = torch.split(network.whitening.mean, list(network.feature_sizes))
    return [column - mean for column, mean in zip(columns, means, strict=True)]


def _contributions(similarity: Tensor, maps: list[Tensor], mirrored: bool) -> NDArray[np.float32] | None:
    """float32[images, h, w]: activation x derivative, summed over channels and views; None where nothing depends on
    the maps.
    """
    gradients = torch.autograd.grad(similarity, maps, retain_graph=True, allow_unused=True)
    products = [
        (x * gradient).detach().sum(1)
        for x, gradient in zip(maps, gradients, strict=True)
        if gradient is not None
    ]
    if not products:
        return None
    total = torch.stack(products).sum(0)
    if mirrored:
        plain, flipped = total.chunk(2)
        total = plain + flipped.flip(-1)
    return total.float().cpu().numpy()


def _maps(
    network: Ensemble, block: int | None, shares: list[NDArray[np.float32] | None], parts: NDArray[np.float32]
) -> list[ActivationMap]:
    """The maps of every image: each head's, then that of all heads on the finest of their grids.

    parts: float32[images, heads].
    """
    # A linear layer's bias belongs to no position, nor does the mean that a whitening takes away.
    exact = [
        block is None and network.whitening is None and spec.reduction != "linear"
        for spec in network.spec.heads
    ]
    present = [share for share in shares if share is not None]
    height, width = (max(share.shape[axis] for share in present) for axis in (1, 2))
    maps = []
    for of, part in enumerate(parts):
        for head, share in enumerate(shares):
            if share is not None:
                maps.append(ActivationMap(of, head, block, share[of], exact[head], float(part[head])))
        together = np.stack([spread(share[of], height, width) for share in present]).sum(0)
        maps.append(ActivationMap(of, None, block, together, all(exact), float(part.sum())))
    return maps


def spread(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Enlarge a map bilinearly so that its sum stays: float32[h, w] to float32[height, width], not smaller."""
    if values.shape == (height, width):
        return values
    down, across = (_weights(old, new) for old, new in zip(values.shape, (height, width), strict=True))
    return (down @ values @ across.T).astype(np.float32)


def _weights(old: int, new: int) -> NDArray[np.float64]:
    """float64[new, old] of bilinear interpolation between cell centres, each old cell's weights summing to 1."""
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    weights = np.clip(1 - np.abs(centres[:, None] - np.arange(old)), 0, None)
    total: NDArray[np.float64] = weights / weights.sum(0)
    return total
