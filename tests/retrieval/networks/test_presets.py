"""The figures are those of the published code, counted by hand from the layers' shapes."""

import pytest
import torch

from retrieval.errors import NetworkError
from retrieval.networks.backbones import BACKBONES
from retrieval.networks.cost import cost
from retrieval.networks.ensemble import build_ensemble
from retrieval.networks.presets import PRESETS, preset_spec
from retrieval.networks.pruning import pruned_spec
from retrieval.networks.spec import EnsembleSpec


@pytest.mark.parametrize(
    ("preset", "parameters", "embedding_size"),
    [
        ("single", 23_508_032, 2048),
        ("pruned", 14_582_848, 2048),
        ("hdhe", 32_439_360, 1024),
        ("ms-hdhe", 25_340_992, 1024),
        ("tri-hdhe", 48_987_200, 1536),
    ],
)
def test_resnet50_has_the_published_counts(preset: str, parameters: int, embedding_size: int) -> None:
    counted = cost(preset_spec(preset, "resnet50"))
    assert (counted.parameters, counted.embedding_size) == (parameters, embedding_size)


@pytest.mark.parametrize(
    ("backbone", "trained", "scored"), [("resnet50", 224, 256), ("efficientnet_lite0", 128, 176)]
)
def test_best_sees_larger_images_for_the_work_of_hdhe(backbone: str, trained: int, scored: int) -> None:
    best, hdhe = preset_spec("best", backbone), preset_spec("hdhe", backbone)
    assert cost(best, scored).gmacs <= cost(hdhe, trained).gmacs
    assert cost(best).parameters < cost(preset_spec("ms-hdhe", backbone)).parameters


def test_resnet50_pruned_until_16_has_the_published_count() -> None:
    assert cost(pruned_spec(preset_spec("single", "resnet50"), 16)).parameters == 19_045_440


def test_sharing_until_b1_costs_one_more_second_group() -> None:
    # 33.66 M by the same hand count: HDhE plus a second layer2 of ResNet-50, 1,219,584 parameters.
    heads = preset_spec("hdhe", "resnet50").heads
    assert cost(EnsembleSpec("resnet50", "B1", heads)).parameters == 32_439_360 + 1_219_584


def test_both_heads_of_hdhe_pool_over_14_by_14() -> None:
    with torch.device("meta"):
        network = build_ensemble(preset_spec("hdhe", "resnet50"), weights=None)
        images = torch.empty(2, 3, 224, 224)
        assert network.trunk(images).shape == (2, 512, 28, 28)
        assert [m.shape for m in network.feature_maps(images)] == [(2, 512, 14, 14)] * 2
        assert [f.shape for f in network(images)] == [(2, 512)] * 2
    assert network.feature_sizes == (512, 512)


@pytest.mark.parametrize(
    ("backbone", "blocks"),
    [
        ("resnet18", 7),
        ("resnet34", 14),
        ("resnet50", 14),
        ("resnet101", 31),
        ("resnet152", 48),
        ("efficientnet_lite0", 14),
        ("mobilenet_v3_small", 10),
        ("mobilenet_v3_large", 13),
    ],
)
def test_pruned_keeps_seven_eighths_of_the_blocks_and_some_of_the_last_group(
    backbone: str, blocks: int
) -> None:
    with torch.device("meta"):
        network = build_ensemble(preset_spec("pruned", backbone), weights=None)
    assert {b.block for b in network.parameter_blocks()} == set(range(blocks + 1))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_learning_rates_and_reductions_are_the_papers(backbone: str) -> None:
    hdhe, tri = preset_spec("hdhe", backbone), preset_spec("tri-hdhe", backbone)
    assert [head.lr for head in hdhe.heads] == [0.5, 4.0]
    assert all(head.stride == 1 and head.classifier_block for head in tri.heads)
    assert tri.heads[:2] == hdhe.heads
    assert preset_spec("ms-hdhe", backbone) == EnsembleSpec(backbone, "B3", hdhe.heads)
    assert all(preset_spec(preset, backbone).mirror for preset in PRESETS)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        NetworkError,
        match="preset must be one of single, pruned, hdhe, ms-hdhe, tri-hdhe, best, hdc, a-bier, abe-8, dreml",
    ):
        preset_spec("quad-hdhe", "resnet50")
    with pytest.raises(NetworkError, match="backbone must be one of"):
        preset_spec("hdhe", "resnet51")
