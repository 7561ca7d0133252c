from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small, resnet18

from retrieval.errors import NetworkError
from retrieval.networks.backbones import BACKBONES, backbone_row
from retrieval.networks.classifiers import (
    CLASSIFIERS,
    ClassificationNetwork,
    build_classifier,
    classifier_cost,
)
from retrieval.networks.efficientnet_lite import imagenet

TINY = ("wrn-10-1", "cifar-resnet-8", "pyramidnet-8-6", "mobilenet_v3_small")


def images(count: int, pixels: int) -> Tensor:
    return torch.randn(count, 3, pixels, pixels, generator=torch.Generator().manual_seed(0))


# Heo et al. (ICCV 2019), at ImageNet's 1000 classes; their other networks are tested beside their files.
@pytest.mark.parametrize(("name", "published"), [("resnet152", 60.19), ("resnet50", 25.56)])
def test_parameters_are_the_published_ones(name: str, published: float) -> None:
    assert round(classifier_cost(name, 1000).parameters / 1e6, 2) == published


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_has_torchvisions_size_with_its_class_layer(name: str) -> None:
    with torch.device("meta"):
        published = backbone_row(name).build()
    counted = sum(parameter.numel() for parameter in published.parameters())
    if name in ("efficientnet_lite0", "mobilenet_v1"):  # built without one
        counted += 1000 * (1280 if name == "efficientnet_lite0" else 1024) + 1000
    assert classifier_cost(name, 1000).parameters == counted


def test_cost_is_of_the_size_asked_for() -> None:
    usual, larger = classifier_cost("wrn-10-1", 10), classifier_cost("wrn-10-1", 10, 64)
    assert (usual.pixels, larger.pixels, usual.classes, usual.feature_size) == (32, 64, 10, 64)
    class_layer = 640 / 1e9
    assert larger.gmacs - class_layer == pytest.approx(4 * (usual.gmacs - class_layer))
    # The stem alone: 9 x 3 x 16 products at each of 32 x 32 pixels.
    assert usual.gmacs > 9 * 3 * 16 * 32 * 32 / 1e9


def test_the_usual_classes_are_those_of_the_papers_data() -> None:
    assert [classifier_cost(name).classes for name in ("wrn-10-1", "resnet18")] == [100, 1000]


@pytest.mark.parametrize("name", TINY)
def test_logits_come_from_the_feature(name: str) -> None:
    torch.manual_seed(0)
    network = build_classifier(name, 5).eval()
    with torch.no_grad():
        for pixels in (16, 33):
            feature, logits = network.forward_features(images(2, pixels))
            assert feature.shape == (2, network.feature_size)
            weight, bias = network.classifier.weight, network.classifier.bias
            torch.testing.assert_close(logits, feature @ weight.T + bias)
            torch.testing.assert_close(network(images(2, pixels)), logits)
            one = network(images(2, pixels)[:1])
            torch.testing.assert_close(one, logits[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    network = build_classifier(name, 5)
    network(images(2, 32)).sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []
    assert network.training


def test_what_it_says_of_itself() -> None:
    network = build_classifier("wrn-10-1", 5)
    assert (network.name, network.classes, network.pixels, network.feature_size) == ("wrn-10-1", 5, 32, 64)
    assert network.mean == pytest.approx((0.4914, 0.4823, 0.4467), abs=1e-4)
    assert network.std == pytest.approx((0.2471, 0.2435, 0.2616), abs=1e-4)
    assert list(network.groups) == ["B1", "B2", "B3"]
    assert [len(group) for group in build_classifier("resnet18", 5).groups.values()] == [2, 2, 2, 2]  # type: ignore[arg-type]  # a ModuleDict forgets that they are sequences


@pytest.mark.parametrize("build", [resnet18, mobilenet_v3_small])
def test_weights_of_a_whole_network_give_its_logits(tmp_path: Path, build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    published = build(num_classes=9).eval()
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    name = build.__name__
    same = build_classifier(name, 9, weights=tmp_path / "weights.pth").eval()
    other = build_classifier(name, 4, weights=tmp_path / "weights.pth").eval()
    with torch.no_grad():
        truth = published(images(2, 64))
        feature, logits = same.forward_features(images(2, 64))
        torch.testing.assert_close(logits, truth)
        # Another class layer stands on the same feature, and starts small.
        torch.testing.assert_close(other.forward_features(images(2, 64))[0], feature)
    assert other.classifier.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not other.classifier.bias.any()


def test_imagenet_weights_come_with_imagenets_class_layer() -> None:
    network = build_classifier("efficientnet_lite0", 1000, weights="imagenet")
    assert torch.equal(network.classifier.weight, imagenet()["_fc.weight"])
    assert torch.equal(network.classifier.bias, imagenet()["_fc.bias"])
    assert build_classifier("efficientnet_lite0", 10, weights="imagenet").classifier.weight.abs().max() < 0.1


def saved(network: ClassificationNetwork, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def test_a_network_for_cifar_starts_from_its_own_state_dict(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = build_classifier("wrn-10-1", 5).eval()
    path = saved(first, tmp_path / "weights.pth")
    same, other = (build_classifier("wrn-10-1", classes, weights=path).eval() for classes in (5, 6))
    with torch.no_grad():
        feature, logits = first.forward_features(images(1, 32))
        assert torch.equal(same(images(1, 32)), logits)
        assert torch.equal(other.forward_features(images(1, 32))[0], feature)
    with pytest.raises(NetworkError, match="does not hold a cifar-resnet-8: "):
        build_classifier("cifar-resnet-8", 5, weights=path)
    with pytest.raises(NetworkError, match="no ImageNet weights of wrn-10-1"):
        build_classifier("wrn-10-1", 1000, weights="imagenet")


@pytest.mark.parametrize("name", ["resnet51", "", "wrn", "hdhe"])
def test_unknown_names_are_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(NetworkError, match=rf"wrn-DEPTH-WIDTH, .*resnet18, .*; got '{name}'"):
        build_classifier(name, 5)


def test_a_network_without_classes_is_refused() -> None:
    with pytest.raises(NetworkError, match="at least one class; got 0"):
        build_classifier("wrn-10-1", 0)


def test_the_list_has_every_backbone_and_the_slides_networks() -> None:
    assert {*BACKBONES, "wrn-22-4", "wrn-16-2", "cifar-resnet-56", "pyramidnet-200-240"} <= set(CLASSIFIERS)
