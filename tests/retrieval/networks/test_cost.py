"""Against the figures that torchvision publishes beside its weights; those count the classifier too."""

import pytest
from torchvision.models import (
    MobileNet_V2_Weights,
    MobileNet_V3_Large_Weights,
    MobileNet_V3_Small_Weights,
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
    WeightsEnum,
)

from retrieval.errors import NetworkError
from retrieval.networks.cost import cost
from retrieval.networks.presets import preset_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec


@pytest.mark.parametrize(
    ("backbone", "weights", "classifier"),
    [
        ("resnet18", ResNet18_Weights, [(512, 1000)]),
        ("resnet34", ResNet34_Weights, [(512, 1000)]),
        ("resnet50", ResNet50_Weights, [(2048, 1000)]),
        ("resnet101", ResNet101_Weights, [(2048, 1000)]),
        ("resnet152", ResNet152_Weights, [(2048, 1000)]),
        ("mobilenet_v2", MobileNet_V2_Weights, [(1280, 1000)]),
        ("mobilenet_v3_small", MobileNet_V3_Small_Weights, [(576, 1024), (1024, 1000)]),
        ("mobilenet_v3_large", MobileNet_V3_Large_Weights, [(960, 1280), (1280, 1000)]),
    ],
)
def test_single_is_the_published_network_without_its_classifier(
    backbone: str, weights: type[WeightsEnum], classifier: list[tuple[int, int]]
) -> None:
    published = weights.IMAGENET1K_V1.meta
    counted = cost(preset_spec("single", backbone))
    multiplications = sum(inputs * outputs for inputs, outputs in classifier)
    biases = sum(outputs for _, outputs in classifier)
    assert counted.parameters == published["num_params"] - multiplications - biases
    # Published to three decimals of 1e9.
    assert counted.gmacs + multiplications / 1e9 == pytest.approx(published["_ops"], abs=6e-4)
    assert counted.embedding_size == classifier[0][0]
    assert counted.pixels == 224


def test_efficientnet_lite0_is_the_published_network_without_its_classifier() -> None:
    # 4,652,008 parameters are published for the whole network.
    counted = cost(preset_spec("single", "efficientnet_lite0"))
    assert counted.parameters == 4_652_008 - 1280 * 1000 - 1000
    assert counted.embedding_size == 1280


def test_work_grows_with_the_area_of_the_image() -> None:
    spec = preset_spec("single", "resnet18")
    usual, twice = cost(spec), cost(spec, 448)
    assert twice.gmacs == pytest.approx(4 * usual.gmacs)
    assert (twice.parameters, twice.pixels) == (usual.parameters, 448)


def test_a_linear_layer_is_counted() -> None:
    plain = cost(EnsembleSpec("resnet18"))
    reduced = cost(EnsembleSpec("resnet18", heads=(HeadSpec(reduction="linear"),)))
    assert reduced.gmacs - plain.gmacs == pytest.approx(512 * 512 / 1e9)
    # Weights and biases, and the scale and shift of the batch normalisation behind them.
    assert reduced.parameters - plain.parameters == 512 * 512 + 512 + 2 * 512


def test_the_mirror_is_not_counted() -> None:
    assert cost(EnsembleSpec("resnet18", mirror=True)) == cost(EnsembleSpec("resnet18", mirror=False))


def test_a_spec_that_cannot_be_is_refused() -> None:
    with pytest.raises(NetworkError, match="res4_9"):
        cost(EnsembleSpec("resnet18", heads=(HeadSpec("res4_9"),)))
