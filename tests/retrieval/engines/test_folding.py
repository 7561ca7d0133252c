"""A folded network is the same function, on every backbone and preset, with hardly a normalisation left."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from retrieval.engines.folding import with_folded_norms
from retrieval.networks import BACKBONES, PRESETS, EnsembleSpec, build_ensemble, preset_spec
from tests.retrieval.engines.models import TINY, lively


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def check(spec: EnsembleSpec) -> None:
    """In float64, where a hundred layers of random weights do not make much of the rounding."""
    torch.manual_seed(0)
    network = lively(build_ensemble(spec, weights=None)).double()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = with_folded_norms(network, 32)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        for found, expected in zip(folded(images), network(images), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    assert norms(network) > 0
    assert norms(folded) == 0
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_folded_network_is_the_same_function() -> None:
    # GeM, the first head's pooling, works in float32 whatever it is given.
    check(EnsembleSpec(TINY.backbone, TINY.share_until, TINY.heads[1:]))


def test_in_float32_its_embeddings_are_the_same_within_1e_5() -> None:
    torch.manual_seed(0)
    network = lively(build_ensemble(TINY, weights=None))
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        expected = network.embed(images)
        torch.testing.assert_close(with_folded_norms(network, 32).embed(images), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone(backbone: str) -> None:
    check(preset_spec("hdhe", backbone))


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset(preset: str) -> None:
    check(preset_spec(preset, "efficientnet_lite0"))


def test_a_normalisation_of_two_convolutions_or_of_none_is_left_alone() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
            self.early, self.shared, self.own = (nn.BatchNorm2d(3) for _ in range(3))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.early(images)
            both = self.shared(self.first(x)) + self.shared(self.second(x))
            result: torch.Tensor = both + self.own(self.first(x))
            return result

    torch.manual_seed(0)
    network = lively(Odd(), 8)  # type: ignore[arg-type]  # folding asks nothing of an ensemble but to be a module
    folded = with_folded_norms(network, 8)
    assert [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)] == [
        "early",
        "shared",
        "own",
    ]
