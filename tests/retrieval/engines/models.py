"""Small models and images for the tests of engines."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.networks import Ensemble, EnsembleSpec, HeadSpec, build_ensemble
from retrieval.transforms import Preprocessing

TINY = EnsembleSpec("resnet18", "B1", (HeadSpec("res2_1", 1, "penultimate+", pool="gem"), HeadSpec("res2_1")))
"""Two heads, one of them cut, in few blocks: an export takes seconds, and as many again for each block more."""

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="the extra `onnx` is not installed",
)
needs_openvino = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "openvino")),
    reason="the extra `openvino` is not installed",
)

both = pytest.mark.parametrize(
    "engine", [pytest.param("onnx", marks=needs_onnx), pytest.param("openvino", marks=needs_openvino)]
)


def lively(network: Ensemble, pixels: int = 32) -> Ensemble:
    """Give batch normalisations weights unlike 1 and 0, and the statistics of images, as in a trained network.

    Without, all images of a random network have nearly the same embedding, and any engine would seem to be right.
    """
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, of which there is one
            module.weight.data.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
            module.bias.data.copy_(torch.rand(module.bias.shape, generator=generator) * 0.4 - 0.2)
    with torch.no_grad():
        network.train()(Preprocessing(pixels).normalise(patterns(16, pixels)))
    return network.eval()


def write_model(folder: Path, spec: EnsembleSpec = TINY, *, seed: int = 0, pixels: int = 32) -> Bundle:
    """A bundle with random weights."""
    torch.manual_seed(seed)
    network = lively(build_ensemble(spec, weights=None), pixels)
    save_bundle(folder, network, Preprocessing(pixels), recipe={}, scores=[], pretraining="none")
    return load_bundle(folder)


def patterns(count: int, pixels: int = 32) -> NDArray[np.uint8]:
    """uint8[count, p, p, 3]: squares in random colours."""
    colours = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return colours.repeat(pixels // 4, axis=1).repeat(pixels // 4, axis=2)


IMAGES = patterns(5)
