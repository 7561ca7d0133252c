"""Against maps computed one block after the other, without hooks and with no activation in place."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from retrieval.networks.classifiers import ClassificationNetwork, build_classifier
from retrieval.networks.taps import find_taps, tapped

# Of a block, of what follows it (the next one or the tail), and of a map. Untyped, as torchvision's blocks are.
Naive = Callable[[Any, Any, Any], Any]


def basic(block: Any, _: Any, x: Any) -> Any:
    residual = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    return residual + (x if block.downsample is None else block.downsample(x))


def bottleneck(block: Any, _: Any, x: Any) -> Any:
    residual = block.bn3(block.conv3(block.bn2(block.conv2(block.bn1(block.conv1(x)).relu())).relu()))
    return residual + (x if block.downsample is None else block.downsample(x))


def wide(_: Any, behind: Any, x: Any) -> Any:
    return behind[0](x) if isinstance(behind, nn.Sequential) else behind.bn1(x)


def pyramid(_: Any, behind: Any, x: Any) -> Any:
    if isinstance(behind, nn.Sequential):
        return behind[0](x)
    return behind.bn2(behind.conv1(behind.bn1(x)))


def separable(block: Any, _: Any, x: Any) -> Any:
    return block.pointwise.bn(block.pointwise.conv(block.depthwise(x)))


def expanded(expansion: Callable[[Any], Any]) -> Naive:
    def naive(_: Any, behind: Any, x: Any) -> Any:
        conv, norm, *_ = behind if isinstance(behind, nn.Sequential) else expansion(behind)
        return norm(conv(x))

    return naive


FAMILIES: dict[str, Naive] = {
    "wrn-16-1": wide,
    "cifar-resnet-14": basic,
    "pyramidnet-14-6": pyramid,
    "pyramidnet-119-6": pyramid,
    "resnet18": basic,
    "resnet50": bottleneck,
    "mobilenet_v1": separable,
    "mobilenet_v2": expanded(lambda block: block.conv[0]),
    "mobilenet_v3_small": expanded(lambda block: block.block[0]),
    "efficientnet_lite0": expanded(lambda block: block.expand),
}
# What is in front of a ReLU in the block itself sees the block's input, else the block's output.
OWN = (basic, bottleneck, separable)


def naive_maps(network: ClassificationNetwork, naive: Naive, images: Tensor) -> list[Tensor]:
    """At the end of each group."""
    blocks = [(name, block) for name, group in network.groups.items() for block in list(group.children())]
    x, maps = network.stem(images), []
    for index, (name, block) in enumerate(blocks):
        last = index + 1 == len(blocks) or blocks[index + 1][0] != name
        behind = blocks[index + 1][1] if index + 1 < len(blocks) else network.tail
        before, x = x, block(x)
        if last:
            maps.append(naive(block, behind, before if naive in OWN else x))
    return maps


def built(name: str) -> tuple[ClassificationNetwork, Tensor]:
    torch.manual_seed(0)
    network = build_classifier(name, 4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.5)
            assert module.running_mean is not None
            nn.init.normal_(module.running_mean, std=0.1)
    return network, torch.randn(2, 3, 32, 40)


def without_in_place(network: ClassificationNetwork) -> ClassificationNetwork:
    copy = deepcopy(network)
    for module in copy.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6 | nn.Hardswish):
            module.inplace = False
    return copy


@pytest.mark.parametrize("name", FAMILIES)
def test_maps_are_those_of_the_blocks_run_one_by_one(name: str) -> None:
    network, images = built(name)
    network.eval()
    taps = find_taps(network, "pre_relu")
    with torch.no_grad():
        with tapped(network, taps) as maps:
            logits = network(images)
        truth = naive_maps(without_in_place(network), FAMILIES[name], images)
        for tap, found, wanted in zip(taps, maps, truth, strict=True):
            assert (found < 0).any(), "what is taken before the ReLU has values that the ReLU sets to zero"
            assert tap.channels == wanted.shape[1]
            assert tap.norm is not None
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(logits, network(images), rtol=0, atol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_reach_the_weights_through_activations_in_place(name: str) -> None:
    network, images = built(name)
    network.eval()  # so that a batch of two has gradients that are not all but zero
    plain = without_in_place(network)
    taps = find_taps(network, "pre_relu")
    with tapped(network, taps) as maps:
        logits = network(images)
    weights = [torch.randn_like(found) for found in maps]
    loss = sum((found * weight).mean() for found, weight in zip(maps, weights, strict=True)) + logits.sum()
    torch.autograd.backward(loss)
    truth = naive_maps(plain, FAMILIES[name], images)
    wanted = sum((found * weight).mean() for found, weight in zip(truth, weights, strict=True))
    torch.autograd.backward(wanted + plain(images).sum())
    for (key, own), (_, theirs) in zip(network.named_parameters(), plain.named_parameters(), strict=True):
        assert own.grad is not None, key
        assert theirs.grad is not None, key
        scale = max(theirs.grad.abs().max().item(), 1e-3)
        torch.testing.assert_close(own.grad / scale, theirs.grad / scale, rtol=1e-3, atol=1e-3, msg=key)


@pytest.mark.parametrize("name", ["cifar-resnet-14", "resnet18", "resnet50", "mobilenet_v1"])
def test_where_a_block_ends_in_a_relu_that_relu_gives_its_end(name: str) -> None:
    network, images = built(name)
    single = [
        f"res{group + 1}_1" for group in range(len(network.groups))
    ]  # of the blocks whose shortcuts change
    for names in (None, single):
        before, after = find_taps(network, "pre_relu", names), find_taps(network, "end", names)
        with torch.no_grad(), tapped(network, [*before, *after]) as maps:
            network(images)
        for left, right in zip(maps[: len(before)], maps[len(before) :], strict=True):
            assert torch.equal(left.relu(), right)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("cifar-resnet-14", ["groups.B1.1.bn2", "groups.B2.1.bn2", "groups.B3.1.bn2"]),
        ("wrn-16-1", ["groups.B2.0.bn1", "groups.B3.0.bn1", "tail.bn"]),
        ("pyramidnet-119-6", ["groups.B2.0.bn2", "groups.B3.0.bn2", "tail.bn"]),
        ("resnet50", ["groups.B1.2.bn3", "groups.B2.3.bn3", "groups.B3.5.bn3", "groups.B4.2.bn3"]),
        ("mobilenet_v1", [f"groups.B{i}.{j}.pointwise.bn" for i, j in ((1, 2), (2, 1), (3, 5), (4, 1))]),
        ("mobilenet_v2", ["groups.B2.0.conv.0.1", "groups.B3.0.conv.0.1", "groups.B4.0.conv.0.1", "tail.1"]),
    ],
)
def test_the_norms_are_those_whose_weights_give_the_margins(name: str, keys: list[str]) -> None:
    with torch.device("meta"):
        network = build_classifier(name, 4)
    taps = find_taps(network, "pre_relu")
    assert [tap.norm for tap in taps] == [network.get_submodule(key) for key in keys]


def test_channels_of_mobilenet_v2_are_the_published_ones() -> None:
    # Heo et al. (AAAI 2019) take the expansions of 24, 32 and 96 channels by 6, and the last convolution's 1280.
    with torch.device("meta"):
        network = build_classifier("mobilenet_v2", 67)
    assert [tap.channels for tap in find_taps(network, "pre_relu")] == [24 * 6, 32 * 6, 96 * 6, 1280]
