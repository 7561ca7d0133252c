"""Against torchvision's own network, read through hooks."""

import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import MobileNetV2

from retrieval.networks.backbones import backbone_row
from retrieval.networks.ensemble import Ensemble
from retrieval.networks.spec import EnsembleSpec, HeadSpec


def test_heads_are_cut_where_they_say() -> None:
    torch.manual_seed(0)
    row = backbone_row("mobilenet_v2")
    network = row.build().eval()
    assert isinstance(network, MobileNetV2)
    heads = (HeadSpec("res4_last", reduction="penultimate+"), HeadSpec("res4_last"), HeadSpec("res4_2"))
    ensemble = Ensemble(EnsembleSpec("mobilenet_v2", heads=heads), row, row.view(network, row)).eval()
    images = torch.randn(2, 3, 64, 64)
    seen: list[Tensor] = []

    def listen(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0].clone())

    # The linear projection of the last block.
    network.features[17].conv[2].register_forward_pre_hook(listen)
    with torch.no_grad():
        cut, whole, shorter = ensemble.feature_maps(images)
        torch.testing.assert_close(whole, network.features(images))
        torch.testing.assert_close(cut, seen[0])
        torch.testing.assert_close(shorter, network.features[:16](images))
