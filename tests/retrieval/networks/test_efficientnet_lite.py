"""Against timm's `tf_efficientnet_lite0`, given the same weights."""

import pytest
import timm
import torch
from torch import Tensor, nn

from retrieval.networks.backbone import keep_resolution
from retrieval.networks.backbones import backbone_row
from retrieval.networks.efficientnet_lite import SamePaddingConv2d, imagenet, rename
from retrieval.networks.ensemble import build_ensemble
from retrieval.networks.spec import EnsembleSpec, HeadSpec


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """timm's network; both publishers list the same tensors in the same order, under other names."""
    network: nn.Module = timm.create_model("tf_efficientnet_lite0").eval()
    keys = network.state_dict().keys()
    network.load_state_dict(dict(zip(keys, imagenet().values(), strict=True)))
    return network


@pytest.mark.parametrize("pixels", [64, 97])
def test_features_are_timms(reference: nn.Module, pixels: int) -> None:
    ensemble = build_ensemble(EnsembleSpec("efficientnet_lite0"), weights="imagenet").eval()
    images = torch.randn(2, 3, pixels, pixels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        truth = reference.forward_features(images)  # type: ignore[operator]  # timm's method, unknown to nn.Module
        assert truth.abs().max() > 1
        torch.testing.assert_close(ensemble.feature_maps(images)[0], truth)


@pytest.mark.parametrize("stride", [1, 2])
def test_penultimate_is_what_the_projection_would_see(stride: int) -> None:
    network: nn.Module = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(dict(zip(network.state_dict().keys(), imagenet().values(), strict=True)))
    head = HeadSpec("res4_1", stride=stride, reduction="penultimate")
    ensemble = build_ensemble(EnsembleSpec("efficientnet_lite0", heads=(head,)), weights="imagenet").eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    if stride == 1:
        keep_resolution(network.get_submodule("blocks.5.0"))
    seen: list[Tensor] = []

    def listen(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0].clone())

    network.get_submodule("blocks.5.0.conv_pwl").register_forward_pre_hook(listen)
    with torch.no_grad():
        network(images)
        torch.testing.assert_close(ensemble.feature_maps(images)[0], seen[0])


def test_every_published_tensor_has_one_place() -> None:
    row = backbone_row("efficientnet_lite0")
    renamed = [rename(key) for key in imagenet() if not key.startswith(row.unused)]
    assert sorted(renamed) == sorted(row.build().state_dict())


@pytest.mark.parametrize("size", range(5, 13))
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    # The rule of TensorFlow's documentation: out = ceil(in / stride), the odd pixel of padding at the far end. A kernel
    # of ones over an image of ones counts the pixels that each window really covers.
    convolution = SamePaddingConv2d(1, 1, kernel, stride, bias=False)
    nn.init.ones_(convolution.weight)
    with torch.no_grad():
        covered = convolution(torch.ones(1, 1, size, 4))[0, 0, :, 1]
    outputs = (size + stride - 1) // stride
    padding = max((outputs - 1) * stride + kernel - size, 0)
    starts = [index * stride - padding // 2 for index in range(outputs)]
    columns = covered.max() / max(min(s + kernel, size) - max(s, 0) for s in starts)
    expected = [float(columns) * (min(s + kernel, size) - max(s, 0)) for s in starts]
    assert covered.tolist() == pytest.approx(expected)
