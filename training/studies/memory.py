"""What training a network keeps in memory, counted on tensors without data."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from retrieval.networks import EnsembleSpec, build_ensemble
from training.sections.optimiser import OptimiserSection


def averages(optimiser: OptimiserSection) -> int:
    """How many values the optimiser remembers for each weight."""
    if optimiser.kind == "sgd":
        return int(optimiser.momentum > 0)
    return 2


@lru_cache(maxsize=256)
def training_bytes(spec: EnsembleSpec, pixels: int, batch: int, averages: int) -> int:
    """Bytes in float32 of the weights, their gradients, the optimiser's averages, and the activations that the backward
    pass of one batch needs.

    Left out: classifiers, which are small, what a frozen part saves, and what a library allocates meanwhile. So the
    figure depends on the network, the pixels, the batch and the optimiser alone: no machine, no noise.
    """
    with torch.device("meta"):
        network = build_ensemble(spec, weights=None)
        images = torch.empty(batch, 3, pixels, pixels)
    own = {_storage(tensor) for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Layers that need the same map share it, so each is counted once. Holding on to it keeps its address.
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images)
    activations = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    return activations + (2 + averages) * weights


def _storage(tensor: Tensor) -> int:
    """The address of what a tensor's values lie in; tensors without data have no pointer to tell them apart by."""
    return int(tensor.untyped_storage()._cdata)
