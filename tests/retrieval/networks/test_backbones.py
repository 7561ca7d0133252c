import pytest
import torch

from retrieval.errors import NetworkError
from retrieval.networks.backbones import BACKBONES, backbone_row, prune_until


@pytest.mark.parametrize("name", BACKBONES)
def test_the_view_has_the_rows_blocks_and_strides(name: str) -> None:
    row = backbone_row(name)
    with torch.device("meta"):
        network = row.build()
        view = row.view(network, row)
        x = view.stem(torch.empty(1, 3, 128, 96))
        for index, group in enumerate(view.groups):
            for block in group:
                x = block(x)
            stride = 4 * 2**index
            assert x.shape == (1, view.channels[index], 128 // stride, 96 // stride)
    assert tuple(len(group) for group in view.groups) == row.blocks
    assert (view.pixels, view.mean, view.std) == (row.pixels, row.mean, row.std) == (224, row.mean, row.std)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_view_leaves_out_nothing_but_the_classifier(name: str) -> None:
    row = backbone_row(name)
    with torch.device("meta"):
        network = row.build()
    view = row.view(network, row)
    parts = [view.stem, *(block for group in view.groups for block in group)]
    if view.tail is not None:
        parts.append(view.tail)
    seen = [id(parameter) for part in parts for parameter in part.parameters()]
    wanted = [id(p) for key, p in network.named_parameters() if not key.startswith(row.unused)]
    assert sorted(seen) == sorted(wanted)


def test_unknown_backbone_is_named() -> None:
    with pytest.raises(NetworkError, match=r"backbone must be one of resnet18, .*; got 'resnet51'"):
        backbone_row("resnet51")


@pytest.mark.parametrize(
    ("backbone", "k", "last_block"),
    [
        ("resnet50", 17, "res4_3"),
        ("resnet50", 16, "res4_2"),
        ("resnet50", 15, "res4_1"),
        ("resnet50", 14, "res3_6"),
        ("resnet50", 5, "res2_1"),
        ("efficientnet_lite0", 15, "res4_3"),
    ],
)
def test_prune_until_removes_block_k_and_all_above(backbone: str, k: int, last_block: str) -> None:
    assert prune_until(backbone, k) == last_block


@pytest.mark.parametrize("k", [-1, 0, 1, 4, 18])
def test_prune_until_keeps_within_the_backbone(k: int) -> None:
    with pytest.raises(NetworkError, match=f"from 5 to 17 for resnet50; got {k}"):
        prune_until("resnet50", k)
