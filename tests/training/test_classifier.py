"""The throw-away classifiers against the numbers of the published block."""

from __future__ import annotations

import math

import torch
from torch import nn

from training.classifier import class_block


def test_the_block_has_the_published_layers_and_sizes() -> None:
    block = class_block(512, 100)
    assert [type(layer) for layer in block] == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.LeakyReLU,
        nn.Dropout,
        nn.Linear,
    ]
    # 512 x 512 + 512, 2 x 512, 512 x 100 + 100: the 0.315 million of the authors' network at 100 classes
    assert sum(p.numel() for p in block.parameters()) == 314_980
    assert isinstance(block[2], nn.LeakyReLU)
    assert block[2].negative_slope == 0.1
    assert isinstance(block[3], nn.Dropout)
    assert block[3].p == 0.5


def test_the_initialisation_has_the_published_spreads() -> None:
    torch.manual_seed(0)
    state = class_block(1024, 2000).state_dict()
    # Hidden layer: He et al. 2015 in fan-out mode, sqrt(2 / 512).
    for key, expected in {"0.weight": math.sqrt(2 / 512), "1.weight": 0.02, "4.weight": 0.001}.items():
        assert abs(state[key].std().item() / expected - 1) < 0.15, key
    assert abs(state["1.weight"].mean().item() - 1) < 0.01
    assert all(not state[key].any() for key in ("0.bias", "1.bias", "4.bias"))
