import pytest
import torch

from retrieval.errors import NetworkError
from retrieval.networks.backbones import BACKBONES, backbone_row


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
