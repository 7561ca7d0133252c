"""The sizes are those of the papers: 3 x 128, 170 + 342 + 512, 8 x 64; twelve times 12 in DREML's code."""

import pytest
import torch

from retrieval.networks.backbones import BACKBONES
from retrieval.networks.cost import cost
from retrieval.networks.ensemble import build_ensemble
from retrieval.networks.presets import preset_spec


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [("hdc", (128,) * 3), ("a-bier", (170, 342, 512)), ("abe-8", (64,) * 8), ("dreml", (12,) * 12)],
)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_heads_have_the_published_sizes(backbone: str, preset: str, sizes: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = build_ensemble(preset_spec(preset, backbone), weights=None)
    assert network.feature_sizes == sizes


def test_heads_of_hdc_end_where_they_do_in_googlenet() -> None:
    # After the first and the fourth fifth of the stage that halves the map last but one.
    ends = [head.last_block for head in preset_spec("hdc", "resnet50").heads]
    assert ends == ["res3_1", "res3_5", "res4_last"]
    assert preset_spec("hdc", "resnet18").heads[1].last_block == "res3_2"


def test_only_new_layers_are_added_to_the_backbone_of_tied_presets() -> None:
    backbone = cost(preset_spec("single", "resnet50"))
    linear = {size: 2048 * size + 3 * size for size in (64, 170, 342, 512)}
    groups = cost(preset_spec("a-bier", "resnet50"))
    assert groups.parameters == backbone.parameters + linear[170] + linear[342] + linear[512]
    assert groups.gmacs == pytest.approx(backbone.gmacs + 2048 * 1024 / 1e9)
    # Two 1x1 convolutions on the 512 channels of B2, one with a batch normalisation and one with a bias.
    mask = 2 * 512 * 512 + 2 * 512 + 512
    assert cost(preset_spec("abe-8", "resnet50")).parameters == backbone.parameters + linear[64] + 8 * mask
