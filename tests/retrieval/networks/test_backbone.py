import pytest
from torch import nn

from retrieval.errors import NetworkError
from retrieval.networks.backbone import keep_resolution
from retrieval.networks.backbones import BACKBONES, backbone_row


@pytest.mark.parametrize(
    ("backbone", "name", "number"),
    [
        ("resnet50", "res1_1", 1),
        ("resnet50", "res2_1", 4),
        ("resnet50", "res4_1", 14),
        ("resnet50", "res4_last", 16),
        ("resnet101", "res3_23", 30),
        ("efficientnet_lite0", "res4_last", 16),
        ("mobilenet_v3_small", "res3_2", 5),
    ],
)
def test_blocks_are_numbered_from_the_input(backbone: str, name: str, number: int) -> None:
    row = backbone_row(backbone)
    assert row.number(*row.locate(name)) == number


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_number_has_a_name_that_leads_back(backbone: str) -> None:
    row = backbone_row(backbone)
    names = [row.block_name(number) for number in range(1, sum(row.blocks) + 1)]
    assert [row.number(*row.locate(name)) for name in names] == list(range(1, sum(row.blocks) + 1))
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="blocks"):
        row.block_name(sum(row.blocks) + 1)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "res4",
        "res4_",
        "res5_1",
        "res0_1",
        "layer4_1",
        "res4_-1",
        "res4_1 ",
        "Res4_1",
        "res4_1_1",
        "res4_²",
    ],
)
def test_names_of_another_form_are_refused(name: str) -> None:
    with pytest.raises(NetworkError, match=r"must look like res4_1 or res4_last"):
        backbone_row("resnet50").locate(name)


@pytest.mark.parametrize("name", ["res4_4", "res4_0", "res3_7", "res4_9999"])
def test_blocks_that_the_backbone_lacks_are_refused(name: str) -> None:
    with pytest.raises(NetworkError, match=r"of resnet50 has blocks res\d_1 to res\d_\d"):
        backbone_row("resnet50").locate(name)


def test_keep_resolution_changes_strides_only() -> None:
    group = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Sequential(nn.Conv2d(2, 2, 1, stride=2))
    )
    keep_resolution(group)
    assert [m.stride for m in group.modules() if isinstance(m, nn.Conv2d)] == [(1, 1), (1, 1)]
    assert isinstance(group[0], nn.Conv2d)
    assert group[0].padding == (1, 1)
