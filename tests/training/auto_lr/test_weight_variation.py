"""Weight variation against its formula, the authors' counts of weights, and a naive loop."""

from __future__ import annotations

import math

import pytest
import torch

from retrieval.errors import UserError
from retrieval.networks import BACKBONES, build_ensemble, preset_spec
from retrieval.networks.ensemble import Ensemble
from training.auto_lr.weight_variation import block_kernels, block_variations, weight_variation


def network(preset: str, backbone: str) -> Ensemble:
    with torch.device("meta"):
        return build_ensemble(preset_spec(preset, backbone), weights=None)


def counts(ensemble: Ensemble) -> list[int]:
    state = ensemble.state_dict()
    kernels = block_kernels(ensemble)
    assert list(kernels) == list(range(1, len(kernels) + 1))
    return [sum(state[name].numel() for name in names) for names in kernels.values()]


def test_the_distance_over_the_count() -> None:
    before = [torch.zeros(2, 3), torch.ones(4)]
    after = [torch.full((2, 3), 0.5), torch.tensor([1.0, 1.0, 1.0, 3.0])]
    assert weight_variation(before, after) == pytest.approx(1e6 * math.sqrt(6 * 0.25 + 4) / 10)
    assert weight_variation(before, before) == 0


def test_small_changes_of_large_weights_are_not_rounded_away() -> None:
    before, after = torch.full((1000,), 1.0), torch.full((1000,), 1.0 + 2**-23)
    assert weight_variation([before], [after]) == pytest.approx(1e6 * math.sqrt(1000) * 2**-23 / 1000)


def test_the_authors_counts_on_resnet50() -> None:
    """No batch norm, no shortcut: the counts of the three kernels of each bottleneck."""
    expected = [57344, 69632, 69632, 245760, *[278528] * 3, 983040, *[1114112] * 5, 3932160, *[4456448] * 2]
    assert counts(network("single", "resnet50")) == expected
    assert counts(network("pruned", "resnet50")) == expected[:14]


def test_inverted_residuals_count_expansion_depthwise_and_projection() -> None:
    found = counts(network("single", "efficientnet_lite0"))
    assert found[0] == 32 * 9 + 32 * 16  # the first has no expansion
    assert found[1] == 16 * 96 + 96 * 9 + 96 * 24
    assert found[-1] == 192 * 1152 + 1152 * 9 + 1152 * 320  # without the tail's 320 x 1280


def test_squeeze_excitation_is_not_on_the_path() -> None:
    kernels = block_kernels(network("single", "mobilenet_v3_small"))
    # The first block has no expansion: depthwise, gate, projection.
    assert kernels[1] == ["trunk.groups.B1.0.block.0.0.weight", "trunk.groups.B1.0.block.2.0.weight"]
    assert len(kernels[11]) == 3


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_block_of_every_backbone_has_kernels(backbone: str) -> None:
    ensemble = network("single", backbone)
    assert len(counts(ensemble)) == sum(ensemble.backbone.blocks)


def test_blocks_vary_one_by_one() -> None:
    torch.manual_seed(0)
    ensemble = build_ensemble(preset_spec("pruned", "mobilenet_v3_small"), weights=None)
    before = {name: value.clone() for name, value in ensemble.state_dict().items()}
    state = ensemble.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            if "B2.1" in name and value.is_floating_point():  # block 3, with its batch norms
                value.add_(0.01)
    found = block_variations(ensemble, before)
    names = block_kernels(ensemble)[3]
    squares = sum(((state[name] - before[name]).double() ** 2).sum().item() for name in names)
    weights = sum(state[name].numel() for name in names)
    assert found.pop(3) == pytest.approx(1e6 * squares**0.5 / weights)
    assert set(found.values()) == {0.0}
    assert block_variations(ensemble, before, before)[3] == 0


def test_several_heads_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"has 2 heads; use network\.preset single or pruned") as caught:
        block_variations(network("hdhe", "resnet18"), {})
    assert "\n" not in str(caught.value)
