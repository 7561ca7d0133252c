"""What a network costs, counted on tensors without data: no weight is made and nothing is computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from retrieval.networks.ensemble import build_ensemble
from retrieval.networks.spec import EnsembleSpec


@dataclass(frozen=True)
class NetworkCost:
    """Size and work of a network without classifiers.

    parameters: of trunk and heads, and the numbers of a whitening. gmacs: 1e9 multiply-adds of convolutions and linear
    layers for one image of pixels x pixels, in one view (the mirror doubles it, but for the whitening behind both).
    embedding_size: length of the embedding.
    """

    parameters: int
    gmacs: float
    embedding_size: int
    pixels: int


def cost(spec: EnsembleSpec, pixels: int | None = None) -> NetworkCost:
    """Cost at an image size, by default the backbone's own. Raises NetworkError for a spec that cannot be built."""
    with torch.device("meta"):
        network = build_ensemble(spec, weights=None).eval()
    side = network.pixels if pixels is None else pixels
    whitening = network.whitening
    return NetworkCost(
        parameters=sum(parameter.numel() for parameter in network.parameters())
        + (0 if whitening is None else whitening.mean.numel() + whitening.matrix.numel()),
        gmacs=(multiply_adds(network, side) + (0 if whitening is None else whitening.matrix.numel())) / 1e9,
        embedding_size=network.embedding_size,
        pixels=side,
    )


def multiply_adds(network: nn.Module, pixels: int) -> float:
    """Of convolutions and linear layers, for one image, of a network on the meta device in evaluation mode."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.empty(1, 3, pixels, pixels, device="meta"))
    # The counter takes a multiply and an add for two operations.
    return counter.get_total_flops() / 2
