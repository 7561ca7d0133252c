"""Pruning against the authors' counts of parameters, and on every backbone for any k."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from retrieval.errors import NetworkError
from retrieval.networks import BACKBONES, HeadSpec, backbone_row, build_ensemble, preset_spec
from retrieval.networks.pruning import kept_blocks, pruned_spec


@pytest.mark.parametrize(
    ("k", "parameters", "size"), [(17, 23_508_032, 2048), (16, 19_045_440, 2048), (15, 14_582_848, 2048)]
)
def test_resnet50_as_published(k: int, parameters: int, size: int) -> None:
    with torch.device("meta"):
        network = build_ensemble(pruned_spec(preset_spec("single", "resnet50"), k), weights=None)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert network.embedding_size == size


def test_until_15_is_the_preset() -> None:
    assert pruned_spec(preset_spec("single", "resnet50"), 15) == preset_spec("pruned", "resnet50")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_depth_of_any_backbone(backbone: str) -> None:
    single = preset_spec("single", backbone)
    row = backbone_row(backbone)
    assert kept_blocks(single) == sum(row.blocks)
    lowest, highest = row.blocks[0] + 2, sum(row.blocks) + 1
    for k in range(lowest, highest + 1):
        assert kept_blocks(pruned_spec(single, k)) == k - 1
    for k in (lowest, sum(row.blocks[:3]) + 1):
        spec = pruned_spec(single, k)
        with torch.device("meta"):
            network = build_ensemble(spec, weights=None)
        assert max(block.block for block in network.parameter_blocks()) == k - 1


def test_a_pruned_network_computes_what_the_whole_one_does_up_to_there() -> None:
    whole = build_ensemble(preset_spec("single", "resnet18"), weights=None).eval()
    state = whole.state_dict()
    cut = build_ensemble(pruned_spec(preset_spec("single", "resnet18"), 6), weights=None).eval()
    # Above block 5 nothing is left; B3, of which one block stays, is the head's now.
    cut.load_state_dict(
        {name: state[name.replace("heads.0.groups.B3", "trunk.groups.B3")] for name in cut.state_dict()}
    )
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        trunk = whole.trunk
        shared = trunk.groups["B2"](trunk.groups["B1"](trunk.stem(images)))
        expected = trunk.groups["B3"][0](shared).mean((2, 3))  # type: ignore[index]  # a group is a Sequential
        torch.testing.assert_close(cut(images)[0], expected)


def test_the_rest_of_the_head_stays() -> None:
    head = HeadSpec("res4_1", stride=1, reduction="penultimate+", pool="max", lr=3.0)
    spec = replace(preset_spec("single", "resnet50"), heads=(head,), share_until="B1", mirror=False)
    assert kept_blocks(spec) == 14
    assert pruned_spec(spec, 15) == spec
    pruned = pruned_spec(spec, 13)
    assert pruned == replace(spec, heads=(replace(head, last_block="res3_5"),))


@pytest.mark.parametrize("k", [-1, 0, 4, 18, 99])
def test_k_out_of_range_is_one_line(k: int) -> None:
    with pytest.raises(NetworkError) as caught:
        pruned_spec(preset_spec("single", "resnet50"), k)
    assert str(caught.value) == (
        f"prune_until must be from 5 to 17 for the 16 blocks of this resnet50; got {k}"
    )


def test_several_heads_are_refused() -> None:
    with pytest.raises(NetworkError, match="needs a network of one head, and this one has 2") as caught:
        pruned_spec(preset_spec("hdhe", "resnet50"), 15)
    assert "\n" not in str(caught.value)


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
    kept = kept_blocks(pruned_spec(preset_spec("single", backbone), k))
    assert backbone_row(backbone).block_name(kept) == last_block


@pytest.mark.parametrize("k", [-1, 0, 1, 4, 18])
def test_prune_until_keeps_within_the_backbone(k: int) -> None:
    with pytest.raises(NetworkError, match=f"from 5 to 17 for the 16 blocks of this resnet50; got {k}"):
        pruned_spec(preset_spec("single", "resnet50"), k)
