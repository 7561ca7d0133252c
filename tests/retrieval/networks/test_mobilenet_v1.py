"""Against timm's `mobilenetv1_100`, with the paper's ReLU in place of timm's ReLU6 and our weights."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from retrieval.errors import NetworkError
from retrieval.networks.backbones import backbone_row
from retrieval.networks.classifiers import build_classifier, classifier_cost
from retrieval.networks.ensemble import build_ensemble
from retrieval.networks.spec import EnsembleSpec, HeadSpec


def test_it_has_the_published_size() -> None:
    # 4.23 million in Heo et al. (ICCV 2019); Howard et al., table 4: 4.2 million, 569 million multiply-adds.
    counted = classifier_cost("mobilenet_v1", 1000)
    assert round(counted.parameters / 1e6, 2) == 4.23
    assert round(counted.gmacs * 1000) == 569


def test_computes_what_timms_does() -> None:
    torch.manual_seed(0)
    network = build_classifier("mobilenet_v1", 11)
    network(torch.randn(4, 3, 64, 64))
    network.eval()
    reference: nn.Module = timm.create_model("mobilenetv1_100", num_classes=11, act_layer=nn.ReLU).eval()
    # Both list the same tensors in the same order.
    reference.load_state_dict(
        dict(zip(reference.state_dict(), network.state_dict().values(), strict=True)), strict=True
    )
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images), reference(images), rtol=1e-4, atol=1e-5)


def test_the_penultimate_activation_is_what_the_last_convolution_sees() -> None:
    torch.manual_seed(0)
    spec = EnsembleSpec("mobilenet_v1", heads=(HeadSpec(reduction="penultimate"), HeadSpec()))
    network = build_ensemble(spec, weights=None).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        cut, whole = network.feature_maps(images)
        pointwise = network.get_submodule("heads.1.groups.B4.1.pointwise")
        torch.testing.assert_close(pointwise(cut), whole)


def test_there_are_no_published_weights_but_a_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="give the path of a state dict"):
        build_classifier("mobilenet_v1", 1000, weights="imagenet")
    torch.manual_seed(0)
    torch.save(backbone_row("mobilenet_v1").build().state_dict(), tmp_path / "weights.pth")
    networks = [build_classifier("mobilenet_v1", 3, weights=tmp_path / "weights.pth") for _ in range(2)]
    first, second = (network.state_dict() for network in networks)
    assert [key for key in first if not torch.equal(first[key], second[key])] == ["classifier.weight"]
