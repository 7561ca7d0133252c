from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.networks.cifar.pyramidnet import PyramidBlock, pyramidnet
from retrieval.networks.classifiers import build_classifier, classifier_cost


# Heo et al. (ICCV 2019): millions of parameters at CIFAR-100.
@pytest.mark.parametrize(("name", "published"), [("pyramidnet-200-240", 26.84), ("pyramidnet-110-84", 3.91)])
def test_parameters_are_the_published_ones(name: str, published: float) -> None:
    assert round(classifier_cost(name, 100).parameters / 1e6, 2) == published


@pytest.mark.parametrize(("depth", "alpha", "expansion"), [(110, 84, 1), (200, 240, 4)])
def test_the_width_grows_in_equal_steps(depth: int, alpha: int, expansion: int) -> None:
    with torch.device("meta"):
        parts = pyramidnet(depth, alpha)
    blocks = [cast(PyramidBlock, block) for group in parts.groups for block in group]
    widths = [block.outputs / expansion for block in blocks]
    steps = {after - before for before, after in zip([16.0, *widths], widths, strict=False)}
    assert widths[-1] == 16 + alpha
    assert len(steps) <= 2
    assert max(steps) - min(steps) <= 1
    assert depth == 2 + len(blocks) * (2 if expansion == 1 else 3)


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_computes_what_the_paper_draws(bottleneck: bool, stride: int) -> None:
    torch.manual_seed(0)
    block = PyramidBlock(4, 6, stride, bottleneck=bottleneck)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    x = torch.randn(3, 4, 7, 8)

    def normed(x: Tensor, norm: nn.Module) -> Tensor:
        mean = x.mean((0, 2, 3), keepdim=True)
        scaled = (x - mean) / ((x - mean).square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
        return scaled * norm.weight.reshape(1, -1, 1, 1) + norm.bias.reshape(1, -1, 1, 1)  # type: ignore[operator]  # a batch norm's parameters

    def conv(x: Tensor, layer: nn.Module, stride: int = 1) -> Tensor:
        weight = cast(nn.Conv2d, layer).weight
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    with torch.no_grad():
        given = block(x)
        out = normed(x, block.bn1)
        if bottleneck:
            assert block.conv3 is not None
            assert block.bn4 is not None
            out = conv(out, block.conv1)
            out = conv(normed(out, block.bn2).relu(), block.conv2, stride)
            out = normed(conv(normed(out, block.bn3).relu(), block.conv3), block.bn4)
        else:
            out = conv(out, block.conv1, stride)
            out = normed(conv(normed(out, block.bn2).relu(), block.conv2), block.bn3)
        if stride == 2:
            # Windows of 2 x 2 pixels, those of the last row of 1 x 2.
            windows = [[x[:, :, i : i + 2, j : j + 2] for j in (0, 2, 4, 6)] for i in (0, 2, 4, 6)]
            x = torch.stack([torch.stack([w.mean((2, 3)) for w in row], dim=-1) for row in windows], dim=-2)
        out[:, :4] += x
    torch.testing.assert_close(given, out, rtol=1e-4, atol=1e-5)


def test_every_parameter_of_a_whole_network_learns() -> None:
    torch.manual_seed(0)
    network = build_classifier("pyramidnet-20-12", 3)
    network(torch.randn(2, 3, 16, 17)).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert network.feature_size == 28
