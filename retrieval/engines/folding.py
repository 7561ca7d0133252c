"""Batch normalisations folded into the convolutions before them: the same function with fewer passes over memory.

In eval mode a batch normalisation multiplies each channel by a constant and adds one, which a convolution before it can
do with its weights and a bias.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from retrieval.networks import Ensemble
from retrieval.networks.listening import listening


def with_folded_norms(network: Ensemble, pixels: int) -> Ensemble:
    """A copy in eval mode whose batch normalisations are folded into convolutions, where one directly follows another.

    Its embeddings are those of the network up to the rounding of float32. pixels: side of an image that the network
    takes. Which follows which is seen in a forward pass and not guessed from names: a normalisation is folded if it
    takes every output of one convolution and nothing else.
    """
    folded = deepcopy(network).eval()
    for convolution, norm in _pairs(folded, pixels):
        fused = fuse_conv_bn_eval(
            cast(nn.Conv2d, folded.get_submodule(convolution)),
            cast(nn.BatchNorm2d, folded.get_submodule(norm)),
        )
        folded.set_submodule(convolution, fused)
        folded.set_submodule(norm, nn.Identity())
    return folded


def _pairs(network: Ensemble, pixels: int) -> list[tuple[str, str]]:
    """Names of convolutions and of the normalisations that take their outputs, each the other's only partner."""
    # Outputs are kept until the end, so that no two of them have the same identity.
    made_by: dict[int, tuple[str, Tensor]] = {}
    took: list[tuple[str | None, str]] = []
    with listening() as listener, torch.inference_mode():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):

                def made(output: Tensor, name: str = name) -> None:
                    made_by[id(output)] = (name, output)

                listener.behind(module, made)
            elif isinstance(module, nn.BatchNorm2d):

                def taken(value: Tensor, name: str = name) -> None:
                    took.append((made_by[id(value)][0] if id(value) in made_by else None, name))

                listener.before(module, taken)
        like = next(network.parameters())
        network(torch.zeros(1, 3, pixels, pixels, device=like.device, dtype=like.dtype))
    outputs = Counter(name for name, _ in made_by.values())
    calls = Counter(norm for _, norm in took)
    return [
        (convolution, norm)
        for (convolution, norm), times in Counter(took).items()
        if convolution is not None and outputs[convolution] == times == calls[norm]
    ]
