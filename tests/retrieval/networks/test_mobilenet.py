"""Against torchvision's own network, read through hooks."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv3 import MobileNetV3

from retrieval.networks.backbones import backbone_row
from retrieval.networks.ensemble import Ensemble
from retrieval.networks.spec import EnsembleSpec, HeadSpec


@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_penultimate_is_what_the_projection_would_see(backbone: str) -> None:
    torch.manual_seed(0)
    row = backbone_row(backbone)
    network = row.build().eval()
    assert isinstance(network, MobileNetV3)
    head = HeadSpec("res4_last", reduction="penultimate+")
    ensemble = Ensemble(EnsembleSpec(backbone, heads=(head,)), row, row.view(network, row)).eval()
    images = torch.randn(2, 3, 64, 64)

    seen: list[Tensor] = []

    def listen(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0].clone())

    network.features[-2].block[-1].register_forward_pre_hook(listen)
    with torch.no_grad():
        network(images)
        torch.testing.assert_close(ensemble.feature_maps(images)[0], seen[0])


@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_a_whole_head_ends_in_the_tail_and_a_shorter_one_does_not(backbone: str) -> None:
    torch.manual_seed(0)
    row = backbone_row(backbone)
    network = row.build().eval()
    assert isinstance(network, MobileNetV3)
    heads = (HeadSpec("res4_last"), HeadSpec("res4_2"))
    ensemble = Ensemble(EnsembleSpec(backbone, heads=heads), row, row.view(network, row)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        whole, shorter = ensemble.feature_maps(images)
        torch.testing.assert_close(whole, network.features(images))
        torch.testing.assert_close(shorter, network.features[:-2](images))
