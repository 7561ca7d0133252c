"""Bytes of training, against tensors with data and against hand counts."""

from __future__ import annotations

import pytest
import torch

from retrieval.networks import build_ensemble, preset_spec
from training.sections.optimiser import OptimiserSection
from training.studies.memory import averages, training_bytes


def kept_by_autograd(preset: str, backbone: str, pixels: int, batch: int) -> int:
    """Bytes of the distinct memory regions, by their addresses, that a real forward pass holds on to."""
    torch.manual_seed(0)
    network = build_ensemble(preset_spec(preset, backbone), weights=None)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    regions: dict[int, int] = {}
    held = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        held.append(tensor)
        regions[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.randn(batch, 3, pixels, pixels))
    return sum(size for address, size in regions.items() if address not in own)


@pytest.mark.parametrize(
    ("preset", "backbone"),
    [("single", "resnet18"), ("hdhe", "resnet18"), ("hdhe", "efficientnet_lite0")],
)
def test_activations_are_those_that_a_real_step_keeps(preset: str, backbone: str) -> None:
    spec = preset_spec(preset, backbone)
    weights = 4 * sum(p.numel() for p in build_ensemble(spec, weights=None).parameters())
    counted = training_bytes(spec, 64, 4, 1) - 3 * weights
    assert counted == pytest.approx(kept_by_autograd(preset, backbone, 64, 4), rel=0.01)


def test_each_average_is_one_more_copy_of_the_weights() -> None:
    spec = preset_spec("single", "resnet18")
    weights = 4 * sum(p.numel() for p in build_ensemble(spec, weights=None).parameters())
    plain, momentum, adam = (
        averages(OptimiserSection.model_validate(values))
        for values in ({"momentum": 0, "nesterov": False}, {}, {"kind": "adamw"})
    )
    assert (plain, momentum, adam) == (0, 1, 2)
    assert training_bytes(spec, 32, 2, adam) - training_bytes(spec, 32, 2, plain) == 2 * weights


def test_sharing_more_keeps_less() -> None:
    hdhe, ms_hdhe = (training_bytes(preset_spec(name, "resnet18"), 64, 4, 1) for name in ("hdhe", "ms-hdhe"))
    assert ms_hdhe < hdhe
