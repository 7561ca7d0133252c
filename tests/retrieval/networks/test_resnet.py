"""Against torchvision's own network, read through hooks."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet

from retrieval.networks.backbones import backbone_row
from retrieval.networks.ensemble import Ensemble
from retrieval.networks.spec import EnsembleSpec, HeadSpec, Reduction


def heard(network: nn.Module, module: nn.Module, images: Tensor) -> Tensor:
    """What a module of a network puts out."""
    outputs: list[Tensor] = []

    def listen(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.append(output.clone())

    handle = module.register_forward_hook(listen)
    with torch.no_grad():
        network(images)
    handle.remove()
    return outputs[-1]


def with_lively_norms(network: nn.Module) -> nn.Module:
    """Batch normalisations as after training: nothing is the identity any more."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


@pytest.mark.parametrize(("backbone", "middle"), [("resnet18", "bn1"), ("resnet50", "bn2")])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("block", [1, 2])
@pytest.mark.parametrize("reduction", ["none", "penultimate", "penultimate+"])
def test_heads_are_torchvisions_blocks(
    backbone: str, middle: str, stride: int, block: int, reduction: Reduction
) -> None:
    torch.manual_seed(0)
    row = backbone_row(backbone)
    network = with_lively_norms(row.build())
    assert isinstance(network, resnet.ResNet)
    head = HeadSpec(f"res4_{block}", stride=stride, reduction=reduction)
    ensemble = Ensemble(EnsembleSpec(backbone, heads=(head,)), row, row.view(network, row)).eval()
    images = torch.randn(2, 3, 64, 64)

    first = network.layer4[0]
    strided = first.conv1 if backbone == "resnet18" else first.conv2
    strided.stride = first.downsample[0].stride = (stride, stride)
    if reduction == "none":
        truth = heard(network, network.layer4[block - 1], images)
    else:
        truth = F.relu(heard(network, getattr(network.layer4[block - 1], middle), images))
    with torch.no_grad():
        torch.testing.assert_close(ensemble.feature_maps(images)[0], truth)
        torch.testing.assert_close(ensemble(images)[0], truth.mean((2, 3)))


def test_building_an_ensemble_leaves_the_published_network_alone() -> None:
    row = backbone_row("resnet18")
    network = row.build()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    head = HeadSpec(stride=1, reduction="penultimate")
    ensemble = Ensemble(EnsembleSpec("resnet18", heads=(head,)), row, row.view(network, row))
    for parameter in ensemble.parameters():
        nn.init.zeros_(parameter)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert isinstance(network, resnet.ResNet)
    assert network.layer4[0].conv1.stride == (2, 2)
